"""Raw photos in TIFF containers (DNG, ProRAW, CR2, NEF, ARW): find the finished pictures that they embed.

Adobe DNG 1.7 and TIFF 6.0. The raw data itself is not developed.
"""

import contextlib
import io
import struct
from collections.abc import Iterator

from PIL import Image, ImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import (
    IMAGELENGTH,
    IMAGEWIDTH,
    JPEGTABLES,
    PHOTOMETRIC_INTERPRETATION,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILEOFFSETS,
    ImageFileDirectory_v2,
    TiffImageFile,
)

#: Pixels of the long side of an embedded picture, at least: a smaller one is a thumbnail.
MIN_PREVIEW_SIDE = 1000

#: Directories of one file, at most.
MAX_DIRECTORIES = 32

#: Tags of TIFF and DNG, and values of the photometric interpretation that stand for raw data.
_SUB_DIRECTORIES, _JPEG_OFFSET, _JPEG_LENGTH, _DNG_VERSION = 330, 513, 514, 50706
_RAW_INTERPRETATIONS = (32803, 34892)

#: What follows the header of a TIFF in a CR2.
_CR2_MARK = b"CR"

#: Tags that a raw photo gives to its previews.
_COMMON_TAGS = (Base.Orientation, Base.Make, Base.Model, Base.Software)

Directories = dict[int, ImageFileDirectory_v2]


def read_raw_directories(data: bytes) -> Directories:
    """Return the directories of a raw photo by their positions, the first one first; {} for any other TIFF."""
    directories, file = Directories(), io.BytesIO(data)
    positions = [ImageFileDirectory_v2(data[:8]).next]
    while positions and len(directories) < MAX_DIRECTORIES:
        position = positions.pop(0)
        if position in directories or not 0 < position < len(data):
            continue
        directory = ImageFileDirectory_v2(data[:8])
        file.seek(position)
        directory.load(file)
        directories[position] = directory
        positions += [directory.next, *_read_numbers(directory, _SUB_DIRECTORIES)]
    is_raw = data[8:10] == _CR2_MARK or any(
        _DNG_VERSION in directory or _is_raw_data(directory) for directory in directories.values()
    )
    return directories if is_raw else {}


def open_largest_preview(data: bytes, directories: Directories) -> ImageFile.ImageFile | None:
    """Open the largest embedded picture, with the raw photo's orientation and camera; None if all are thumbnails."""
    previews = [
        preview
        for position, directory in directories.items()
        if not _is_raw_data(directory)
        for preview in _open_previews(data, position, directory)
        if max(preview.size) >= MIN_PREVIEW_SIDE
    ]
    if not previews:
        return None
    exif, first = Image.Exif(), next(iter(directories.values()))
    for tag in _COMMON_TAGS:
        if tag in first:
            exif[tag] = first[tag]
    largest = max(previews, key=lambda preview: preview.width * preview.height)
    largest.info["exif"] = exif.tobytes()
    return largest


def find_content_end(directories: Directories) -> int:
    """Return the position behind the last byte of all pictures of a raw photo, raw data included."""
    ends = [
        offset + length
        for directory in directories.values()
        for offset, length in [*_list_parts(directory), *_find_jpeg(directory)]
    ]
    return max(ends, default=0)


def _is_raw_data(directory: ImageFileDirectory_v2) -> bool:
    return directory.get(PHOTOMETRIC_INTERPRETATION) in _RAW_INTERPRETATIONS


def _open_previews(data: bytes, position: int, directory: ImageFileDirectory_v2) -> Iterator[ImageFile.ImageFile]:
    """Open the pictures of a directory that Pillow can decode: a JPEG beside its pixels, and its pixels."""
    parts = _list_parts(directory)
    jpegs = _find_jpeg(directory)
    if len(parts) == 1 and JPEGTABLES not in directory:
        jpegs += parts
    for offset, length in jpegs:
        with contextlib.suppress(Exception):  # Lossless JPEG, or another compression.
            yield JpegImageFile(io.BytesIO(data[offset : offset + length]))
            return
    if max(directory.get(IMAGEWIDTH, 0), directory.get(IMAGELENGTH, 0)) >= MIN_PREVIEW_SIDE:
        first_position = struct.pack("<I" if data[:2] == b"II" else ">I", position)
        with contextlib.suppress(Exception):  # A compression that Pillow does not know, such as JPEG XL.
            yield TiffImageFile(io.BytesIO(data[:4] + first_position + data[8:]))


def _find_jpeg(directory: ImageFileDirectory_v2) -> list[tuple[int, int]]:
    """Return offset and length of a JPEG that a directory refers to, if there is one."""
    return list(zip(_read_numbers(directory, _JPEG_OFFSET), _read_numbers(directory, _JPEG_LENGTH), strict=False))


def _list_parts(directory: ImageFileDirectory_v2) -> list[tuple[int, int]]:
    """Return offset and length of each strip or tile of a directory."""
    offsets = _read_numbers(directory, STRIPOFFSETS) + _read_numbers(directory, TILEOFFSETS)
    lengths = _read_numbers(directory, STRIPBYTECOUNTS) + _read_numbers(directory, TILEBYTECOUNTS)
    return list(zip(offsets, lengths, strict=False))


def _read_numbers(directory: ImageFileDirectory_v2, tag: int) -> list[int]:
    value = directory.get(tag, ())
    return [int(number) for number in (value if isinstance(value, tuple) else (value,))]
