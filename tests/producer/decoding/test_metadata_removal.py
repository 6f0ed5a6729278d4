"""Metadata never decides: sound pixels are shown, whatever a file says beside them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from producer.decoding.convert import convert
from producer.decoding.formats import Unreadable
from tests.pictures import make_picture
from tests.producer.decoding.test_convert import encode, is_similar, read_pixels
from tests.producer.icc_profiles import convert_p3_to_srgb, make_display_p3_profile

PICTURE = make_picture(3, (160, 100))
XMP = b"<x:xmpmeta>" + b"a place and a time " * 200_000
BROKEN_EXIF = b"\x99" * 8


def make_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def insert_chunks(*chunks: bytes, before: bytes = b"IDAT", picture: Image.Image = PICTURE) -> bytes:
    file = encode(picture, "PNG")
    position = file.index(before) - 4
    return file[:position] + b"".join(chunks) + file[position:]


def insert_segment(marker: int, content: bytes) -> bytes:
    file = encode(PICTURE, "JPEG")
    return file[:2] + struct.pack(">2BH", 0xFF, marker, len(content) + 2) + content + file[2:]


def break_exif(kind: str) -> bytes:
    exif = Image.Exif()
    exif[271] = "Somebody"
    return encode(PICTURE, kind, exif=exif.tobytes()).replace(exif.tobytes()[6:14], BROKEN_EXIF)


FILES = {
    "PNG, XMP of 4 MB": insert_chunks(make_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "PNG, compressed XMP": insert_chunks(make_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
    "PNG, compressed text behind pixels": insert_chunks(
        make_chunk(b"zTXt", b"x\0\0" + zlib.compress(XMP)), before=b"IEND"
    ),
    "PNG, profile of 40 MB": insert_chunks(make_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(40_000_000)))),
    "PNG, text with a wrong checksum": insert_chunks(make_chunk(b"tEXt", b"x\0y")[:-4] + b"\0\0\0\0"),
    "PNG, cut gAMA": insert_chunks(make_chunk(b"gAMA", b"\0")),
    "PNG, cut acTL": insert_chunks(make_chunk(b"acTL", b"\0")),
    "PNG, broken EXIF": insert_chunks(make_chunk(b"eXIf", BROKEN_EXIF)),
    "JPEG, broken EXIF": insert_segment(0xE1, b"Exif\0\0" + BROKEN_EXIF),
    "JPEG, part of a profile": insert_segment(0xE2, b"ICC_PROFILE\0\2\3" + bytes(100)),
    "JPEG, broken MPF": insert_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\xff\xff"),
    "JPEG, broken Photoshop data": insert_segment(0xED, b"Photoshop 3.0\x008BIM\xff\xff"),
    "AVIF, broken EXIF": break_exif("AVIF"),
    "HEIC, broken EXIF": break_exif("HEIF"),
    "WebP, broken EXIF": break_exif("WEBP"),
    "TIFF, broken profile": encode(PICTURE, "TIFF", icc_profile=bytes(200)),
    "HEIC, broken profile": encode(PICTURE, "HEIF", icc_profile=bytes(200)),
    "AVIF, broken profile": encode(PICTURE, "AVIF", icc_profile=bytes(200)),
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_sound_pixels_are_shown_whatever_is_wrong_beside_them(file: bytes) -> None:
    """Seen failing: PNG with compressed or broken metadata, Photoshop data and the EXIF of AVIF: “damaged”."""
    assert is_similar(convert(file), PICTURE)


def test_a_large_profile_of_a_png_is_used_for_its_colours() -> None:
    """Seen failing: Pillow refuses more than a megabyte."""
    profile = make_display_p3_profile()
    profile += bytes(2_000_000)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    color = (200, 110, 90)
    file = insert_chunks(
        make_chunk(b"iCCP", b"P3\0\0" + zlib.compress(profile)), picture=Image.new("RGB", (64, 64), color)
    )
    assert np.abs(read_pixels(convert(file)).mean(axis=(0, 1)) - convert_p3_to_srgb(color)).max() < 3


def test_a_png_with_large_text_is_turned_by_its_exif() -> None:
    exif = Image.Exif()
    exif[274] = 6
    text = make_chunk(b"zTXt", b"x\0\0" + zlib.compress(XMP))
    file = insert_chunks(make_chunk(b"eXIf", exif.tobytes()[6:]), text)
    assert is_similar(convert(file), PICTURE.transpose(Image.Transpose.ROTATE_270))


def test_a_picture_whose_pixels_are_damaged_too_is_refused_for_its_pixels() -> None:
    file = insert_chunks(make_chunk(b"zTXt", b"x\0\0" + zlib.compress(XMP)))
    with pytest.raises(Unreadable, match="is damaged"):
        convert(file[: len(file) * 3 // 5])


GREY = np.asarray(PICTURE.convert("L")).astype(np.int64)


@pytest.mark.parametrize(
    "values",
    [
        (GREY / 255).astype(np.float32),
        GREY.astype(np.float32),
        (GREY * 257).astype(np.float32),
        (GREY * 1e6).astype(np.float32),
        np.where(GREY < 20, np.nan, GREY / 255).astype(np.float32),
        GREY.astype(np.int32),
        GREY.astype(np.int32) * 257,
        GREY.astype(np.int32) * (2**23),
        GREY.astype(np.uint32) * (2**24),
    ],
    ids=[
        "float to 1",
        "float to 255",
        "float to 65535",
        "brighter",
        "no numbers",
        "8 in 32",
        "16 in 32",
        "signed",
        "unsigned",
    ],
)
def test_deep_grey_is_neither_black_nor_white(values: np.ndarray) -> None:
    """Seen failing: floating point up to 1 was black, integers of 32 bits white."""
    buffer = io.BytesIO()
    Image.fromarray(values.view(np.int32) if values.dtype == np.uint32 else values).save(buffer, "TIFF")
    file = buffer.getvalue()
    if values.dtype == np.uint32:  # Pillow writes that they have a sign.
        file = file.replace(struct.pack("<HHIH", 339, 3, 1, 2), struct.pack("<HHIH", 339, 3, 1, 1))
    expected = GREY * (255 / GREY.max() if values.max() == GREY.max() * 1e6 else 1)
    expected[np.isnan(values)] = 0
    assert np.abs(read_pixels(convert(file))[..., 0] - expected).mean() < 4
