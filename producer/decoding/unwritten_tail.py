"""Unwritten tail: detect a file whose size was set before its content was written.

Windows and `rsync --preallocate` copy that way. Until the content has arrived the rest of the file is zeros, and the
decoders of HEIC, AVIF, WebP and uncompressed TIFF take them for pixels. Those of JPEG and PNG notice by themselves.
"""

from PIL import ImageFile
from PIL.TiffImagePlugin import STRIPBYTECOUNTS, STRIPOFFSETS, TILEBYTECOUNTS, TILEOFFSETS, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifFile

#: Zeros at the end of the content that count as unwritten; compressed data has no such run.
MIN_TAIL_BYTES = 512

#: Boxes of HEIC and AVIF that a picture needs; others, such as the film of a motion photo, may follow.
_PICTURE_BOXES = {b"ftyp", b"meta", b"mdat"}


def has_unwritten_tail(data: bytes, picture: ImageFile.ImageFile | HeifFile | None = None) -> bool:
    """Return whether the last MIN_TAIL_BYTES of the content, or more, are zeros. Zeros behind the content do not count.

    picture: the opened, not decoded, picture of `data`; None for a video.
    """
    return not data[-MIN_TAIL_BYTES:].strip(b"\0") and ends_in_zeros(data, _find_content_end(data, picture))


def ends_in_zeros(data: bytes, content_end: int) -> bool:
    """Return whether content up to a position ends in MIN_TAIL_BYTES zeros or more."""
    content_end = min(content_end, len(data))
    tail = data[max(0, content_end - MIN_TAIL_BYTES) : content_end]
    return bool(tail) and not tail.strip(b"\0")


def _find_content_end(data: bytes, picture: ImageFile.ImageFile | HeifFile | None) -> int:
    """Return the position behind the last byte of the picture, as the file declares it; 0 for a JPEG or PNG."""
    if isinstance(picture, TiffImageFile):
        tags = picture.tag_v2
        offsets = tags.get(STRIPOFFSETS, ()) + tags.get(TILEOFFSETS, ())
        byte_counts = tags.get(STRIPBYTECOUNTS, ()) + tags.get(TILEBYTECOUNTS, ())
        return max(map(sum, zip(offsets, byte_counts, strict=False)), default=0)
    if isinstance(picture, WebPImageFile):
        return 8 + int.from_bytes(data[4:8], "little")
    if data[4:8] == b"ftyp":
        return _find_boxes_end(data)
    return 0


def _find_boxes_end(data: bytes) -> int:
    """Return the position behind the last of the _PICTURE_BOXES (ISO/IEC 14496-12, 4.2)."""
    start = end = 0
    while len(size_and_type := data[start : start + 16]) >= 8:
        size = int.from_bytes(size_and_type[:4])
        if size == 1:
            size = int.from_bytes(size_and_type[8:])
        elif size == 0 and size_and_type[4:8] == b"mdat":  # Up to the end of the file.
            size = len(data) - start
        if size < 8:
            break
        start += size
        if size_and_type[4:8] in _PICTURE_BOXES:
            end = start
    return end
