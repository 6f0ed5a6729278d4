"""A HEIC shows the same picture whether FFmpeg decodes it, as it does most phones' photos, or libheif does."""

import io
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pillow_heif
import pytest

from producer.decoding.convert import convert
from producer.decoding.ffmpeg_heic import decode_with_ffmpeg
from producer.decoding.formats import Unreadable
from producer.decoding.limits import Limits
from tests.pictures import make_picture
from tests.producer.decoding.heic_files import TILE_SIDE, encode_grid
from tests.producer.decoding.test_convert import encode, is_similar, read_pixels
from tests.producer.icc_profiles import make_display_p3_profile

#: A side of photos that leaves pictures of 500 pixels as they are, and two that shrink them.
SIDES = [640, 320, 100]


def is_decoded(file: bytes) -> bool:
    """Return whether FFmpeg decodes a file."""
    heif = pillow_heif.open_heif(io.BytesIO(file), convert_hdr_to_8bit=True, remove_stride=False)
    return decode_with_ffmpeg(file, heif, heif.size) is not None


@contextmanager
def only_libheif() -> Iterator[None]:
    """Be a producer without the extra `video`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        yield


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("size", "turns"),
    [
        ((512, 384), ()),
        ((501, 333), ()),
        ((501, 334), ((b"irot", 1),)),
        ((500, 333), ((b"irot", 2),)),
        ((501, 333), ((b"irot", 3),)),
        ((501, 333), ((b"imir", 0),)),
        ((501, 333), ((b"irot", 3), (b"imir", 1))),
        ((TILE_SIDE - 1, TILE_SIDE - 1), ()),
    ],
    ids=["whole", "cut", "to the left", "upside down", "to the right", "mirrored", "turned and mirrored", "one tile"],
)
def test_a_photo_in_tiles_is_the_same_whoever_decodes_it(
    size: tuple[int, int], turns: tuple[tuple[bytes, int], ...], side: int
) -> None:
    assert_that_both_decode_alike(encode_grid(make_picture(3, size), *turns), side)


@pytest.mark.parametrize("side", SIDES)
def test_a_photo_in_one_piece_is_the_same_whoever_decodes_it(side: int) -> None:
    file = encode(make_picture(3, (502, 334)), "HEIF", icc_profile=make_display_p3_profile())
    assert_that_both_decode_alike(file, side)


def assert_that_both_decode_alike(file: bytes, side: int) -> None:
    limits = Limits(max_side=side, working_side=side)
    with only_libheif():
        expected = convert(file, limits)
    assert is_decoded(file)
    photo = convert(file, limits)
    assert replace(photo, jpeg=b"") == replace(expected, jpeg=b"")
    difference = np.abs(read_pixels(photo) - read_pixels(expected))
    assert difference.mean() < 2
    assert max(difference[edge].mean() for edge in (0, -1, (slice(None), 0), (slice(None), -1))) < 4


@pytest.mark.parametrize("size", [(640, 4), (4, 640), (1, 1), (2, 3)])
def test_the_smallest_pictures_and_the_narrowest_are_the_same_too(size: tuple[int, int]) -> None:
    file = encode(make_picture(5, size), "HEIF")
    with only_libheif():
        expected = convert(file, Limits(max_side=100))
    assert np.abs(read_pixels(convert(file, Limits(max_side=100))) - read_pixels(expected)).mean() < 4


def encode_plain(chroma: int, **nclx: int) -> bytes:
    picture, buffer = make_picture(3), io.BytesIO()
    srgb = {"color_primaries": 1, "transfer_characteristics": 13, "matrix_coefficients": 6, "full_range_flag": 1}
    options = {"quality": 95, "chroma": chroma, "save_nclx_profile": True} | srgb | nclx
    pillow_heif.encode("RGB", picture.size, picture.tobytes(), buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("encode_file", "is_left_to_libheif"),
    [
        (lambda: encode_plain(420), False),
        (lambda: encode_plain(444), True),
        (lambda: encode_plain(444, matrix_coefficients=0), True),
        (lambda: encode_plain(420, matrix_coefficients=1), True),
        (lambda: encode_plain(420, full_range_flag=0), True),
        (lambda: encode_grid(make_picture(3), full_range=False), True),
        (lambda: encode(make_picture(3).convert("RGBA"), "HEIF"), True),
        (lambda: encode(make_picture(3).crop((0, 0, 501, 333)), "HEIF"), True),
    ],
    ids=["4:2:0", "4:4:4", "RGB", "BT.709", "video range", "tiles of video range", "alpha", "cropped by `clap`"],
)
def test_what_ffmpeg_would_show_in_other_colors_or_cut_otherwise_is_left_to_libheif(
    encode_file: Callable[[], bytes], is_left_to_libheif: bool
) -> None:
    file = encode_file()
    photo = convert(file)
    assert is_decoded(file) is not is_left_to_libheif
    assert is_similar(photo, make_picture(3).crop((0, 0, photo.width, photo.height)))


def test_a_grey_picture_is_left_to_libheif() -> None:
    grey = make_picture(3).convert("L")
    file = encode(grey, "HEIF")
    assert not is_decoded(file)
    assert is_similar(convert(file), grey.convert("RGB"))


def test_a_grid_without_some_of_its_tiles_is_left_to_libheif() -> None:
    assert not is_decoded(encode_grid(make_picture(3), left_out=1))


@pytest.mark.parametrize("is_grid", [True, False], ids=["tiles", "one piece"])
def test_a_damaged_photo_is_refused_by_both_or_by_neither(is_grid: bool) -> None:
    picture = make_picture(3, (250, 200))
    file = encode_grid(picture) if is_grid else encode(picture, "HEIF")
    rng = random.Random(0)
    damaged_files = []
    for number in range(40):
        damaged = bytearray(file)
        start = rng.randrange(400 if number % 2 else len(file) - 100)  # in the description of the picture, or anywhere
        damaged[start : start + 20] = rng.randbytes(20)
        damaged_files.append(bytes(damaged))
    with only_libheif():
        refusals = [find_refusal(damaged) for damaged in damaged_files]
    assert [find_refusal(damaged) for damaged in damaged_files] == refusals
    assert 5 < sum(bool(refusal) for refusal in refusals) < 35


def find_refusal(file: bytes) -> str:
    try:
        convert(file)
    except Unreadable as refusal:
        return str(refusal)
    return ""
