"""Removal of metadata: make a file of sound pixels decodable whose metadata its decoder fails on.

Pillow refuses a PNG with large or broken text, a JPEG with broken Photoshop data, and an AVIF with broken EXIF.
"""

import re

from producer.decoding.boxes import has_boxes
from producer.decoding.png_chunks import SIGNATURE, is_png, iterate_chunks

#: Chunks of a PNG that are kept: its pixels, and EXIF, which turns them and which Pillow reads only on demand.
_KEPT_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")

#: Markers of the segments of a JPEG that are removed: APP3 to APP13, APP15 and comments. The others matter to its
#: colors (JFIF, ICC, Adobe) or turn it (EXIF).
_REMOVED_MARKERS = {*range(0xE3, 0xEE), 0xEF, 0xFE}

#: An item of type `Exif` (ISO/IEC 14496-12, 8.11.6): version and flags, id of 2 or 4 bytes, protection, type.
_EXIF_ITEM = re.compile(rb"(infe[\2\3].{7}(?:.{2})?)Exif", re.DOTALL)

#: Marker of a JPEG behind which its pixels begin.
_START_OF_SCAN = 0xDA


def remove_metadata(data: bytes) -> bytes:
    """Return a PNG, JPEG or AVIF without most of its metadata; any other file as it is."""
    if is_png(data):
        return _remove_chunks(data)
    if data.startswith(b"\xff\xd8"):
        return _remove_segments(data)
    if has_boxes(data):
        return _hide_exif(data)
    return data


def _remove_chunks(data: bytes) -> bytes:
    view, kept, start = memoryview(data), [memoryview(SIGNATURE)], len(SIGNATURE)
    for kind, content in iterate_chunks(data):
        end = start + len(content) + 12
        if kind in _KEPT_CHUNKS:
            kept.append(view[start:end])
        start = end
    return b"".join([*kept, view[start:]])


def _remove_segments(data: bytes) -> bytes:
    view, kept, start = memoryview(data), [memoryview(data)[:2]], 2
    while start + 4 <= len(data) and data[start] == 0xFF and data[start + 1] != _START_OF_SCAN:
        end = start + 2 + int.from_bytes(view[start + 2 : start + 4])
        if data[start + 1] not in _REMOVED_MARKERS:
            kept.append(view[start:end])
        start = end
    return b"".join([*kept, view[start:]])


def _hide_exif(data: bytes) -> bytes:
    """Change the type of the EXIF items of a HEIC or AVIF, so that no decoder reads them."""
    return _EXIF_ITEM.sub(rb"\1skip", data)
