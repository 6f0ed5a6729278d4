"""Missing content: detect a file that ends too early, or whose size was set before its content was written.

Of a HEIC that ends too early, libheif shows the tiles that are there. Windows and `rsync --preallocate` set the size
first: until the content has arrived the rest of the file is zeros, and the decoders of HEIC, AVIF, WebP and
uncompressed TIFF take them for pixels. Those of JPEG and PNG notice by themselves.
"""

from PIL import ImageFile
from PIL.TiffImagePlugin import STRIPBYTECOUNTS, STRIPOFFSETS, TILEBYTECOUNTS, TILEOFFSETS, TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifFile

from producer.decoding.boxes import has_boxes, iterate_boxes

#: Zeros at the end of the content that count as unwritten; compressed data has no such run.
MIN_TAIL_BYTES = 512

#: Boxes of HEIC and AVIF that a picture needs; others, such as the film of a motion photo, may follow.
_PICTURE_BOXES = {b"ftyp", b"meta", b"mdat"}


def lacks_content(data: bytes, picture: ImageFile.ImageFile | HeifFile | None = None) -> bool:
    """Return whether a file ends before its content does, or the last MIN_TAIL_BYTES of the content are zeros.

    Zeros behind the content do not count. That a file ends too early is found in HEIC, AVIF and videos; other decoders
    notice. picture: the opened, not decoded, picture of `data`; None for a video.
    """
    if has_boxes(data) and _find_content_end(data, picture) > len(data):
        return True
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
    if has_boxes(data):
        return max((end for kind, _, end in iterate_boxes(data) if kind in _PICTURE_BOXES), default=0)
    return 0
