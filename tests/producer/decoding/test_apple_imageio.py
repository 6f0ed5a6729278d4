"""On a Mac, ImageIO decodes iPhones' photos if it does so as libheif does. A double stands in for the Mac."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from producer.decoding.apple_imageio import CHECK_PICTURE
from producer.decoding.convert import convert
from producer.decoding.item_properties import read_item_properties
from producer.decoding.limits import Limits
from tests.pictures import make_picture
from tests.producer.decoding.quartz_double import QuartzDouble, installed
from tests.producer.decoding.test_convert import encode, read_pixels
from tests.producer.icc_profiles import make_display_p3_profile
from tools.check_picture import encode_like_iphone, make_check_picture

LIMITS = Limits(max_side=640, working_side=320)


@pytest.fixture(scope="module")
def iphone_photo() -> bytes:
    """Return a photo of 1,024 × 768 pixels as stored, on their side."""
    return encode_like_iphone(make_picture(3, (1024, 768)))


def test_an_iphone_s_photo_is_the_same_whoever_decodes_it(iphone_photo: bytes) -> None:
    expected = convert(iphone_photo, LIMITS)
    with installed(QuartzDouble()) as quartz:
        photo = convert(iphone_photo, LIMITS)
    assert quartz.decoded_sides[-1] == 640
    assert (photo.width, photo.height) == (480, 640)
    assert replace(photo, jpeg=b"", working_jpeg=b"") == replace(expected, jpeg=b"", working_jpeg=b"")
    assert np.abs(read_pixels(photo) - read_pixels(expected)).mean() < 2


@pytest.mark.parametrize(
    ("quartz", "fault"),
    [
        (QuartzDouble(lambda image: image.rotate(180)), "shows the check picture turned or in other colors"),
        (QuartzDouble(ImageOps.mirror), "shows the check picture turned or in other colors"),
        (
            QuartzDouble(lambda image: image.transpose(Image.Transpose.ROTATE_90)),
            "does not decode the check picture at its size",
        ),
        (
            QuartzDouble(lambda image: image.point(lambda value: value * 0.9)),
            "shows the check picture turned or in other colors",
        ),
        (
            QuartzDouble(lambda image: Image.merge("RGB", image.split()[::-1])),
            "shows the check picture turned or in other colors",
        ),
        (QuartzDouble(accepts_half=True), "takes half of a file for the whole"),
    ],
    ids=["upside down", "mirrored", "on its side", "darker", "red for blue", "half a file"],
)
def test_an_imageio_that_shows_the_check_picture_otherwise_decodes_no_photo(
    iphone_photo: bytes, quartz: QuartzDouble, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = convert(iphone_photo, LIMITS)
    with installed(quartz):
        assert convert(iphone_photo, LIMITS) == expected
        convert(iphone_photo, LIMITS)
    assert set(quartz.decoded_sides) == {192}  # the check picture
    assert [record.message for record in caplog.records] == [f"ImageIO {fault}, so HEIC is decoded without it"]


@pytest.mark.parametrize(
    ("mode", "profile"),
    [("RGBA", make_display_p3_profile()), ("RGB", None), ("RGB", make_display_p3_profile())],
    ids=["with alpha", "without a profile", "without irot"],
)
def test_what_no_iphone_writes_is_left_to_libheif(mode: str, profile: bytes | None) -> None:
    file = encode(make_picture(1, (160, 120)).convert(mode), "HEIF", icc_profile=profile)
    expected = convert(file, LIMITS)
    with installed(QuartzDouble()) as quartz:
        assert convert(file, LIMITS) == expected
    assert quartz.decoded_sides == [192]  # the check picture


def raise_error(image: Image.Image) -> Image.Image:
    raise RuntimeError(f"no memory for {image.size}")


def test_bindings_that_fail_leave_all_photos_to_libheif(iphone_photo: bytes) -> None:
    expected = convert(iphone_photo, LIMITS)
    with installed(QuartzDouble(raise_error)):
        assert convert(iphone_photo, LIMITS) == expected
    with installed(QuartzDouble(lambda image: raise_error(image) if max(image.size) > 192 else image)) as quartz:
        assert convert(iphone_photo, LIMITS) == expected
    assert 640 in quartz.decoded_sides


def test_a_photo_that_imageio_cannot_decode_is_left_to_libheif(iphone_photo: bytes) -> None:
    expected = convert(iphone_photo, LIMITS)
    quartz = QuartzDouble(lambda image: image if max(image.size) <= 192 else image.crop((0, 0, 50, 50)))
    with installed(quartz):
        assert convert(iphone_photo, LIMITS) == expected


def test_the_check_picture_is_the_one_that_its_script_makes() -> None:
    bundled, made = CHECK_PICTURE.read_bytes(), make_check_picture()
    assert [kind for kind, _ in read_item_properties(bundled)] == [kind for kind, _ in read_item_properties(made)]
    difference = np.abs(read_pixels(convert(bundled)) - read_pixels(convert(made)))
    assert difference.max() <= 8, "another version of the encoder may write other bytes"
