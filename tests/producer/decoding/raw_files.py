"""Raw photos by hand: TIFF directories with thumbnails, previews and raw data."""

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from tests.pictures import encode_jpeg

#: Tags.
SUBFILE, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, MAKE, MODEL = 254, 256, 257, 258, 259, 262, 271, 272
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS, STRIP_COUNTS, SUB_IFDS = 273, 274, 277, 278, 279, 330
TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_COUNTS, JPEG_OFFSET, JPEG_LENGTH, DNG_VERSION = (
    322,
    323,
    324,
    325,
    513,
    514,
    50706,
)

#: Values of PHOTOMETRIC.
RGB, YCBCR, CFA, LINEAR_RAW = 2, 6, 32803, 34892

#: Tag of the parts' offsets → tag of their lengths.
PARTS = {STRIP_OFFSETS: STRIP_COUNTS, TILE_OFFSETS: TILE_COUNTS, JPEG_OFFSET: JPEG_LENGTH}


class Directory(NamedTuple):
    """A directory of a TIFF: tags of numbers or bytes, and parts that the tag `kind` refers to."""

    tags: dict[int, Sequence[int] | bytes]
    kind: int = STRIP_OFFSETS
    parts: Sequence[bytes] = ()


def make_jpeg_preview(picture: Image.Image, *, kind: int = STRIP_OFFSETS) -> Directory:
    """Return a directory with a JPEG in one strip, or beside its pixels."""
    tags = {SUBFILE: [1], WIDTH: [picture.width], LENGTH: [picture.height], COMPRESSION: [7], PHOTOMETRIC: [YCBCR]}
    return Directory({**tags, SAMPLES: [3], BITS: [8, 8, 8], ROWS: [picture.height]}, kind, [encode_jpeg(picture)])


def make_tiled_preview(picture: Image.Image, side: int = 256) -> Directory:
    """Return a directory with a JPEG in tiles."""
    tiles = [
        encode_jpeg(picture.crop((left, top, left + side, top + side)))
        for top in range(0, picture.height, side)
        for left in range(0, picture.width, side)
    ]
    tags = {SUBFILE: [1], WIDTH: [picture.width], LENGTH: [picture.height], COMPRESSION: [7], PHOTOMETRIC: [YCBCR]}
    return Directory(
        {**tags, SAMPLES: [3], BITS: [8, 8, 8], TILE_WIDTH: [side], TILE_LENGTH: [side]}, TILE_OFFSETS, tiles
    )


def make_plain_preview(picture: Image.Image, rows: int = 64) -> Directory:
    """Return a directory with uncompressed pixels in strips."""
    strips = [
        picture.crop((0, top, picture.width, min(top + rows, picture.height))).tobytes()
        for top in range(0, picture.height, rows)
    ]
    tags = {SUBFILE: [1], WIDTH: [picture.width], LENGTH: [picture.height], COMPRESSION: [1], PHOTOMETRIC: [RGB]}
    return Directory({**tags, SAMPLES: [3], BITS: [8, 8, 8], ROWS: [rows]}, STRIP_OFFSETS, strips)


def make_raw_data(photometric: int = CFA, compression: int = 1) -> Directory:
    """Return a directory with raw data of 4032 × 3024; only its first rows are there."""
    tags = {SUBFILE: [0], WIDTH: [4032], LENGTH: [3024], COMPRESSION: [compression], PHOTOMETRIC: [photometric]}
    return Directory({**tags, SAMPLES: [1], BITS: [16], ROWS: [3024]}, STRIP_OFFSETS, [bytes(range(256)) * 64])


def make_raw_file(
    first: Directory, others: Sequence[Directory] = (), *, order: str = "<", mark: bytes = b"", dng: bool = True
) -> bytes:
    """Return a TIFF whose first directory refers to the others as its subdirectories.

    mark: what follows the header. dng: whether it says that it is a DNG.
    """
    file = io.BytesIO()
    file.write(struct.pack(f"{order}2sHI", {"<": b"II", ">": b"MM"}[order], 42, 0) + mark)
    positions = [_write_directory(file, directory, order) for directory in others]
    tags = {
        **first.tags,
        **({SUB_IFDS: positions} if positions else {}),
        **({DNG_VERSION: bytes([1, 7, 0, 0])} if dng else {}),
    }
    first_position = _write_directory(file, first._replace(tags=tags), order)
    file.seek(4)
    file.write(struct.pack(f"{order}I", first_position))
    return file.getvalue()


def _write_directory(file: io.BytesIO, directory: Directory, order: str) -> int:
    tags = dict(directory.tags)
    if directory.parts:
        tags[directory.kind] = [_append(file, part) for part in directory.parts]
        tags[PARTS[directory.kind]] = [len(part) for part in directory.parts]
    entries = b""
    for tag, values in sorted(tags.items()):
        content = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}I", *values)
        field = content.ljust(4, b"\0") if len(content) <= 4 else struct.pack(f"{order}I", _append(file, content))
        kind = 2 if tag in (MAKE, MODEL) else 1 if isinstance(values, bytes) else 4
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + field
    return _append(file, struct.pack(f"{order}H", len(tags)) + entries + bytes(4))


def _append(file: io.BytesIO, content: bytes) -> int:
    position = file.seek(0, io.SEEK_END)
    position += file.write(bytes(position % 2))
    file.write(content)
    return position
