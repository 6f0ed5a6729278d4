"""Raw photos: the largest finished picture in them is taken, upright, and no thumbnail ever."""

import numpy as np
import pytest
from PIL import Image

from producer.decoding.convert import convert
from producer.decoding.formats import NotAPicture, Unreadable
from shared.jobs.refusal import RefusalCode
from tests.pictures import encode_jpeg, make_picture
from tests.producer.decoding.raw_files import (
    JPEG_OFFSET,
    LINEAR_RAW,
    MAKE,
    MODEL,
    ORIENTATION,
    Directory,
    make_jpeg_preview,
    make_plain_preview,
    make_raw_data,
    make_raw_file,
    make_tiled_preview,
)
from tests.producer.decoding.test_convert import is_similar

PREVIEW = make_picture(3, (1024, 768))
THUMBNAIL = make_plain_preview(make_picture(9, (256, 192)))
MIDDLE = make_jpeg_preview(make_picture(8, (1000, 750)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "preview",
    [
        make_jpeg_preview(PREVIEW),
        make_jpeg_preview(PREVIEW, kind=JPEG_OFFSET),
        make_tiled_preview(PREVIEW),
        make_plain_preview(PREVIEW),
    ],
    ids=["JPEG in a strip", "JPEG beside the pixels", "JPEG in tiles", "uncompressed"],
)
def test_of_a_dng_the_largest_preview_is_the_photo(order: str, preview: Directory) -> None:
    """Seen failing: the thumbnail was taken where it came first, and the file refused as damaged where it did not."""
    for first, others in (
        (THUMBNAIL, [make_raw_data(), MIDDLE, preview]),
        (make_raw_data(LINEAR_RAW, compression=52546), [THUMBNAIL, preview]),
        (preview, [make_raw_data()]),
    ):
        assert is_similar(convert(make_raw_file(first, others, order=order)), PREVIEW)


def test_raw_photos_of_other_makes_are_taken_by_their_previews() -> None:
    nef = make_raw_file(THUMBNAIL, [make_jpeg_preview(PREVIEW, kind=JPEG_OFFSET), make_raw_data()], dng=False)
    cr2 = make_raw_file(make_jpeg_preview(PREVIEW), mark=b"CR\2\0\0\0\0\0", dng=False)
    for file in (nef, cr2):
        assert is_similar(convert(file), PREVIEW)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_raw_photo_is_upright_and_tells_its_camera(orientation: int) -> None:
    tags = {ORIENTATION: [orientation], MAKE: b"Apple\0", MODEL: b"iPhone 15 Pro\0"}
    first = THUMBNAIL._replace(tags={**THUMBNAIL.tags, **tags})
    photo = convert(make_raw_file(first, [make_raw_data(LINEAR_RAW), make_jpeg_preview(PREVIEW)]))
    turns = {1: 0, 3: 2, 6: -1, 8: 1}
    assert is_similar(photo, Image.fromarray(np.rot90(np.asarray(PREVIEW), turns[orientation])))
    assert photo.camera == "Apple iPhone 15 Pro"


@pytest.mark.parametrize(
    "file",
    [
        make_raw_file(THUMBNAIL, [make_raw_data()]),
        make_raw_file(THUMBNAIL, [make_raw_data(LINEAR_RAW, compression=52546)]),
        make_raw_file(make_raw_data()),
        make_raw_file(make_raw_data(), [make_jpeg_preview(make_picture(2, (999, 700)))]),
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(1000),
        b"FUJIFILMCCD-RAW 0201FF383501" + bytes(1000),
    ],
    ids=["thumbnail", "ProRAW with JPEG XL", "no preview", "preview of 999 pixels", "CR3", "RAF"],
)
def test_a_raw_photo_without_a_preview_is_refused_with_advice(file: bytes) -> None:
    with pytest.raises(Unreadable, match=r"^is a raw photo .*: send it as HEIC or JPEG$") as refusal:
        convert(file)
    assert refusal.value.cause is not None
    assert refusal.value.cause.code == RefusalCode.RAW
    assert not isinstance(refusal.value, NotAPicture)


@pytest.mark.parametrize("share", [0.2, 0.7, 0.95])
def test_a_raw_photo_that_is_still_being_copied_is_not_whole(share: float) -> None:
    file = make_raw_file(THUMBNAIL, [make_jpeg_preview(PREVIEW), make_raw_data()])
    written = file[: int(len(file) * share)]
    for incomplete in (written, written + bytes(len(file) - len(written))):
        with pytest.raises(Unreadable, match="is damaged"):
            convert(incomplete)


def test_directories_that_refer_to_one_another_end() -> None:
    file = bytearray(make_raw_file(THUMBNAIL, [make_raw_data(), make_jpeg_preview(PREVIEW)]))
    start = int.from_bytes(file[4:8], "little")
    end = start + 2 + 12 * int.from_bytes(file[start : start + 2], "little")
    file[end : end + 4] = file[4:8]
    assert is_similar(convert(bytes(file)), PREVIEW)


def test_a_tiff_that_is_no_raw_photo_is_taken_as_it_is() -> None:
    first = make_plain_preview(make_picture(4, (640, 480)))
    assert is_similar(convert(make_raw_file(first, [make_jpeg_preview(PREVIEW)], dng=False)), make_picture(4))


def test_a_jpeg_is_not_a_raw_photo_whatever_follows_it() -> None:
    file = encode_jpeg(make_picture(1)) + make_raw_file(THUMBNAIL, [make_raw_data()])
    assert is_similar(convert(file), make_picture(1))
