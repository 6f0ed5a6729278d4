"""Boxes of ISO media files, of which HEIC, AVIF, MP4 and QuickTime consist (ISO/IEC 14496-12, 4.2)."""

from collections.abc import Iterator
from typing import NamedTuple

#: Boxes read in one place of a file, at most; a grid of 1,000 tiles has fewer.
MAX_BOXES = 10_000


class Box(NamedTuple):
    """A box: its type, such as `meta`, and where its content lies. It may declare an end beyond that of the data."""

    kind: bytes
    start: int
    end: int


def has_boxes(data: bytes) -> bool:
    """Return whether a file consists of boxes, as its first one, `ftyp`, says."""
    return data[4:8] == b"ftyp"


def iterate_boxes(data: bytes) -> Iterator[Box]:
    """Yield the boxes in `data`, up to the first that is broken."""
    start = 0
    for _ in range(MAX_BOXES):
        header = data[start : start + 16]
        size, header_size = int.from_bytes(header[:4]), 8
        if size == 1:
            size, header_size = int.from_bytes(header[8:]), 16
        elif size == 0:  # Up to the end of the file.
            size = len(data) - start
        if len(header) < 8 or size < header_size:
            return
        yield Box(header[4:8], start + header_size, start + size)
        start += size
