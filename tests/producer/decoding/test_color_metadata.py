"""Colors: every kind of file shows the colors that it means, and HDR shows its white as white."""

import io
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from producer.decoding.color_space import BT2020, HLG, P3, PQ, SRGB, get_chromaticities
from producer.decoding.convert import convert
from tests.pictures import encode_jpeg, make_picture
from tests.producer.decoding.color_cases import (
    PATCHES,
    ColorCase,
    compute_color_difference,
    compute_lab_difference,
    encode_heic,
    encode_png,
    list_color_cases,
    make_signal,
    quantize,
    read_patches,
)
from tests.producer.decoding.test_convert import is_similar
from tests.producer.icc_profiles import make_display_p3_profile, make_rgb_profile

#: CIEDE2000 between a patch and what it is meant to be, at most.
MAX_DIFFERENCE = 3.0


@pytest.mark.parametrize("case", list_color_cases(), ids=lambda case: f"{case.kind}, {case.space}")
def test_a_photo_has_the_colors_that_its_file_means(case: ColorCase) -> None:
    """Seen failing for AVIF and PNG in any color space but sRGB, for HEIC in P3 without an ICC profile, and for HDR."""
    patches = read_patches(convert(case.make()).jpeg)
    assert compute_color_difference(patches[: len(PATCHES)], np.array(PATCHES)).max() <= MAX_DIFFERENCE
    if case.is_hdr:
        white, highlight = patches[len(PATCHES) :]
        assert 235 <= white.min() <= white.max() < highlight.min() - 8


@pytest.mark.parametrize(
    ("first", "second", "difference"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_difference_of_colors_is_what_its_authors_publish(
    first: tuple[float, ...], second: tuple[float, ...], difference: float
) -> None:
    assert compute_lab_difference(np.array(first), np.array(second)) == pytest.approx(difference, abs=1e-4)


@pytest.mark.parametrize(("primaries", "transfer"), [(P3, SRGB), (BT2020, PQ), (BT2020, HLG)])
def test_the_codes_of_a_png_go_before_its_icc_profile(primaries: int, transfer: int) -> None:
    values = quantize(make_signal(get_chromaticities(primaries), transfer), 16)
    wrong = make_rgb_profile("Wide", get_chromaticities(BT2020), 2.6)
    profile = b"wrong\0\0" + zlib.compress(wrong)
    file = encode_png(values, 16, (b"cICP", bytes([primaries, transfer, 0, 1])), (b"iCCP", profile))
    patches = read_patches(convert(file).jpeg)[: len(PATCHES)]
    assert compute_color_difference(patches, np.array(PATCHES)).max() <= MAX_DIFFERENCE


def test_an_icc_profile_that_says_it_is_hdr_is_shown_as_such() -> None:
    """The profile's curves cannot say it; its tag `cicp` does."""
    profile = bytearray(make_display_p3_profile())
    entry = next(at for at in range(132, 300, 12) if profile[at : at + 4] == b"cprt")
    struct.pack_into(">4sII", profile, entry, b"cicp", len(profile), 12)
    profile += b"cicp\0\0\0\0" + bytes([BT2020, PQ, 0, 1])
    values = quantize(make_signal(get_chromaticities(BT2020), PQ), 16)
    file = encode_png(values, 16, (b"iCCP", b"PQ\0\0" + zlib.compress(bytes(profile))))
    assert compute_color_difference(read_patches(convert(file).jpeg)[: len(PATCHES)], np.array(PATCHES)).max() <= 3


@pytest.mark.parametrize(
    "chunk",
    [
        (b"cICP", b"\x09"),
        (b"cICP", bytes([200, 201, 0, 1])),
        (b"gAMA", struct.pack(">I", 0)),
        (b"gAMA", struct.pack(">I", 1)),
        (b"cHRM", struct.pack(">8I", *[0] * 8)),
        (b"cHRM", struct.pack(">8I", *[33000] * 8)),
    ],
    ids=["cut codes", "unknown codes", "no gamma", "absurd gamma", "no primaries", "primaries on a line"],
)
def test_what_is_wrong_about_colors_is_passed_over(chunk: tuple[bytes, bytes]) -> None:
    values = quantize(make_signal(get_chromaticities(1), SRGB), 8)
    chunks = [chunk] if chunk[0] != b"cHRM" else [(b"gAMA", struct.pack(">I", 45455)), chunk]
    patches = read_patches(convert(encode_png(values, 8, *chunks)).jpeg)
    assert compute_color_difference(patches, np.array(PATCHES)).max() <= 1


def test_a_hdr_picture_without_highlights_is_as_bright_as_any_other() -> None:
    picture = make_picture(4, (128, 96))
    signal = np.asarray(picture) / 255
    signal = signal * 0.58  # The PQ signal of reference white, or less.
    file = encode_heic(
        signal, 10, color_primaries=1, transfer_characteristics=PQ, matrix_coefficients=1, full_range_flag=1
    )
    with Image.open(io.BytesIO(convert(file).jpeg)) as image:
        assert np.asarray(image).max() >= 250


def test_a_gain_map_leaves_the_picture_alone() -> None:
    """Ultra HDR: a JPEG of the gain map, small and grey, follows the picture's."""
    picture, gain_map = make_picture(3), Image.new("L", (160, 120), 200)
    assert convert(encode_jpeg(picture) + encode_jpeg(gain_map)).jpeg == convert(encode_jpeg(picture)).jpeg


def test_a_heic_with_a_tone_map_shows_its_primary_picture() -> None:
    """ISO 21496-1, as iOS 18 writes it: an item of type `tmap` follows the pictures, which decoders may not know."""
    heif, buffer = pillow_heif.HeifFile(), io.BytesIO()
    for seed in (3, 4):
        heif.add_from_pillow(make_picture(seed, (160, 100)))
    heif.save(buffer, quality=95, primary_index=0)
    head, _, tail = buffer.getvalue().rpartition(b"hvc1")  # the type of the last item
    file = (head + b"tmap" + tail).replace(b"ftypheic\0\0\0\0mif1", b"ftypheic\0\0\0\0tmap", 1)
    assert file.count(b"tmap") == 2
    assert is_similar(convert(file), make_picture(3, (160, 100)))
