"""Formats: what turns a HEIC or AVIF, its container or its EXIF."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from producer.decoding.convert import convert
from tests.pictures import make_picture
from tests.producer.decoding.test_convert import UPRIGHT_TRANSFORMS, is_similar

#: EXIF tags of a number of 16 bits: the orientation, and one in whose place the encoders keep a number as it is.
ORIENTATION, PLACEHOLDER = 274, 296


def encode_turned(kind: str, stored: Image.Image, *, transform: int, exif: int) -> bytes:
    """Return a picture whose container and whose EXIF say how it is turned.

    kind: HEIF or AVIF. transform: the orientation that `irot` and `imir` encode; 0 for neither box, 1 for an `irot` of
    0 degrees, as iPhones write it. exif: the EXIF orientation; 0 for none.
    """
    metadata, buffer = Image.Exif(), io.BytesIO()
    metadata[ORIENTATION] = {0: 1, 1: 6}.get(transform, transform)
    if exif:
        metadata[PLACEHOLDER] = exif
    if kind == "HEIF":
        pillow_heif.from_pillow(stored).save(
            buffer, quality=95, enc_params={"preset": "ultrafast"}, exif=metadata.tobytes()
        )
    else:
        stored.save(buffer, "AVIF", quality=95, speed=10, exif=metadata.tobytes())
    file = buffer.getvalue()
    if transform == 1:
        file = file.replace(b"irot\x03", b"irot\0")
    assert (b"irot" in file or b"imir" in file) is bool(transform)
    for order in "<", ">":
        file = file.replace(struct.pack(f"{order}HHI", ORIENTATION, 3, 1), struct.pack(f"{order}HHI", 65000, 3, 1))
        head = struct.pack(f"{order}HHI", PLACEHOLDER, 3, 1)
        file = file.replace(head, struct.pack(f"{order}HHI", ORIENTATION, 3, 1))
    return file


def turn(stored: Image.Image, orientation: int) -> Image.Image:
    return Image.fromarray(UPRIGHT_TRANSFORMS[orientation](np.asarray(stored)))


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_once_whether_its_container_or_its_exif_or_both_say_so(kind: str, orientation: int) -> None:
    """Seen failing for EXIF alone: both formats came out as they were stored."""
    stored = make_picture(2, (160, 100))
    for transform, exif in ((orientation, 0), (0, orientation), (orientation, orientation)):
        file = encode_turned(kind, stored, transform=transform, exif=exif)
        assert is_similar(convert(file), turn(stored, orientation)), (transform, exif)


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize(("transform", "exif"), [(1, 6), (6, 1), (8, 6), (5, 3), (2, 8), (1, 3)])
def test_where_container_and_exif_contradict_each_other_the_container_is_right(
    kind: str, transform: int, exif: int
) -> None:
    stored = make_picture(2, (160, 100))
    assert is_similar(convert(encode_turned(kind, stored, transform=transform, exif=exif)), turn(stored, transform))


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_an_orientation_that_does_not_exist_turns_nothing(kind: str) -> None:
    stored = make_picture(2, (160, 100))
    assert is_similar(convert(encode_turned(kind, stored, transform=0, exif=9)), stored)
