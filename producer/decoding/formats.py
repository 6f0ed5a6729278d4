"""Picture formats: detect the format of a file from its content, and decode its pixels."""

import contextlib
import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifFile, open_heif

from producer.decoding.apple_imageio import decode_with_imageio
from producer.decoding.boxes import has_boxes
from producer.decoding.color_metadata import ColorMetadata, read_color_metadata
from producer.decoding.ffmpeg_heic import decode_with_ffmpeg
from producer.decoding.item_properties import read_item_properties
from producer.decoding.limits import Limits
from producer.decoding.metadata_removal import remove_metadata
from producer.decoding.missing_content import ends_in_zeros, lacks_content
from producer.decoding.raw import MIN_PREVIEW_SIDE, find_content_end, open_largest_preview, read_raw_directories
from shared.errors import ArtDreamError
from shared.jobs.refusal import RefusalCause, RefusalCode
from shared.recipe.canvas import fit_photo

#: Major brands of files that libheif reads, and of AVIF.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

#: Brand of CR3, and the first bytes of RAF, RW2, ORF and X3F: raw photos that are not read.
_CR3_BRAND = b"crx "
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb")

#: Reason for these.
UNKNOWN_RAW = "is a raw photo of a kind that cannot be read here: send it as HEIC or JPEG"

#: Bytes at the beginning of a file that tell its format.
SIGNATURE_BYTES = 256

#: Rows of a shrunk HEIC that are decoded at a time, which bounds memory.
STRIP_ROWS = 64

#: How many times as many pixels a HEIC may have: it takes 4.5 bytes per pixel, as it is never copied, others up to 8.
HEIF_LIMIT_FACTOR = 2

#: The most common cause of damage. In a JPEG, and in a TIFF that ends in zeros, it raises Truncated.
TRUNCATED_CAUSE = "the file ends too early"


#: Opens a file, without decoding its pixels.
Decoder = Callable[[io.BytesIO], ImageFile.ImageFile | HeifFile]


class Unreadable(ArtDreamError):
    """A file cannot become a photo. The text is a predicate that follows the file's name: “is damaged: …”."""

    def __init__(self, reason: str, code: str = "", **values: int) -> None:
        """code, values: the cause for guests, as in RefusalCause; "" if there is no text for it."""
        super().__init__(reason)
        self.cause = RefusalCause(code=code, values=values) if code else None


class NotAPicture(Unreadable):
    """A file is empty, or its content has none of the picture formats."""


class Truncated(Unreadable):
    """A JPEG ends too early, or a TIFF in zeros; `allow_truncated` may decode the available part."""


class DecodedPicture(NamedTuple):
    """A decoded picture, at least as large as the photo, with the metadata of its file."""

    picture: Image.Image
    #: Width and height of the photo in pixels, before rotation.
    photo_size: tuple[int, int]
    #: The part of `picture` with content, in pixels: left, top, right, bottom; None for all of it.
    box: tuple[float, float, float, float] | None = None
    #: The EXIF orientation that brings `picture` upright, 1 to 8.
    orientation: int = 1
    color: ColorMetadata = ColorMetadata()


def decode_picture(data: bytes, limits: Limits, *, allow_truncated: bool = False) -> DecodedPicture:
    """Decode a file to pixels, in the file's mode and orientation.

    allow_truncated: decode the available part of a JPEG that ends too early, or of a TIFF that ends in zeros, which may
    be black pixels; the rest gets one colour. Raises Unreadable; Truncated if `allow_truncated` may help.
    """
    opener = choose_decoder(data)
    if len(data) > limits.max_bytes:
        raise Unreadable(
            f"is too large: {len(data) // 1_000_000} MB, at most {limits.max_bytes // 1_000_000} are taken",
            RefusalCode.TOO_LARGE,
            most=limits.max_bytes // 1_000_000,
        )
    try:
        decoded = _decode(opener, data, limits, allow_truncated=allow_truncated)
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # Decoders raise any type of exception on broken files.
        decoded = _decode_without_metadata(opener, data, limits, error)
    return decoded._replace(
        orientation=_read_orientation(decoded.picture, data),
        color=read_color_metadata(data, decoded.picture.info),
    )


def _decode(opener: Decoder, data: bytes, limits: Limits, *, allow_truncated: bool) -> DecodedPicture:
    """Decode a file to pixels. Raises Unreadable, and any other exception that a decoder raises."""
    # A global of Pillow; safe because a decoder process decodes one file at a time.
    ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated and opener is JpegImageFile
    picture = opener(io.BytesIO(data))
    full_size = picture.size
    size = fit_photo(full_size[0], full_size[1], limits.max_side)
    if isinstance(picture, JpegImageFile):  # Decodes to 1/2, 1/4 or 1/8 of the size with less work.
        picture.draft(picture.mode, size)
    # The decoder of a progressive JPEG holds all of it, at whatever size it decodes to.
    width, height = full_size if "progressive" in picture.info else picture.size
    max_megapixels = limits.max_megapixels * (HEIF_LIMIT_FACTOR if isinstance(picture, HeifFile) else 1)
    if (megapixels := width * height / 1_000_000) > max_megapixels:
        raise Unreadable(
            f"is too large: {megapixels:,.0f} megapixels, at most {max_megapixels} are taken",
            RefusalCode.TOO_MANY_PIXELS,
            most=max_megapixels,
        )
    may_be_black = isinstance(picture, TiffImageFile)
    if not (may_be_black and allow_truncated) and lacks_content(data, picture):
        raise (Truncated if may_be_black else Unreadable)(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE)
    if isinstance(picture, HeifFile):
        for decode in (decode_with_imageio, decode_with_ffmpeg):
            if (image := decode(data, picture, size)) is not None:
                return DecodedPicture(image, image.size)
        return _decode_heif_shrunk(picture, size)
    picture.load()
    return DecodedPicture(picture, size)


def _decode_without_metadata(opener: Decoder, data: bytes, limits: Limits, error: Exception) -> DecodedPicture:
    """Decode a file again whose metadata may have caused an error. Raises Unreadable with the cause of that error."""
    if (pixels_only := remove_metadata(data)) != data:
        with contextlib.suppress(Exception):
            return _decode(opener, pixels_only, limits, allow_truncated=False)
    cause, code = _describe_cause(error)
    error_type = Truncated if cause == TRUNCATED_CAUSE and opener is JpegImageFile else Unreadable
    raise error_type(f"is damaged: {cause}", code) from error


def _read_orientation(picture: Image.Image, data: bytes) -> int:
    """Return the EXIF orientation that brings a decoded picture upright, 1 to 8; see docs/decisions/022.

    In HEIC and AVIF `irot` and `imir` decide, even if they turn nothing, and EXIF only if there are none. libheif has
    applied them; Pillow has put those of an AVIF in the place of its EXIF orientation.
    """
    if has_boxes(data):
        is_transformed = any(kind in (b"irot", b"imir") for kind, _ in read_item_properties(data))
        if is_transformed and not isinstance(picture, AvifImageFile):
            return 1
        if isinstance(picture, AvifImageFile) and not is_transformed:
            picture.info["exif"] = picture._decoder.get_info()[4]
    try:
        return int(picture.getexif().get(Base.Orientation, 1))
    except Exception:  # Broken metadata of an intact picture.
        return 1


def _decode_heif_shrunk(heif: HeifFile, size: tuple[int, int]) -> DecodedPicture:
    """Decode a HEIC to the smallest integer fraction of its size that is no smaller than `size`.

    Works in strips: libheif holds the full picture once, so Pillow must not hold a second copy.
    """
    data = heif.data
    width, height = heif.size
    factor = min(width // size[0], height // size[1])
    shrunk = Image.new(heif.mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, STRIP_ROWS * factor):
        rows = min(STRIP_ROWS * factor, height - top)
        strip_data = data[top * heif.stride : (top + rows) * heif.stride]
        strip = Image.frombuffer(heif.mode, (width, rows), strip_data, "raw", heif.mode, heif.stride, 1)
        shrunk.paste(strip.reduce(factor), (0, top // factor))
    shrunk.info = heif.info
    # The last column and row may represent fewer than `factor` columns and rows of the file.
    return DecodedPicture(shrunk, size, (0, 0, width / factor, height / factor))


def choose_decoder(data: bytes) -> Decoder:
    """Return the decoder of a file, chosen by its first SIGNATURE_BYTES. Raises NotAPicture if there is none.

    Decoders are called directly, not through Image.open, which would try all others too (PostScript among them) and
    which warns about large pictures for the whole process.
    """
    if not data:
        raise NotAPicture("is empty", RefusalCode.EMPTY)
    if has_boxes(data):
        brands = {
            data[offset : offset + 4] for offset in (8, *range(16, min(int.from_bytes(data[:4]), SIGNATURE_BYTES), 4))
        }
        if data[8:12] == _CR3_BRAND:
            raise Unreadable(UNKNOWN_RAW, RefusalCode.RAW)
        if brands & _AVIF_BRANDS:
            return AvifImageFile
        if brands & _HEIF_BRANDS:
            return _open_heif
    if data[:3] == b"\xff\xd8\xff":
        return JpegImageFile
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PngImageFile
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _open_tiff
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    if data.startswith(_RAW_SIGNATURES):
        raise Unreadable(UNKNOWN_RAW, RefusalCode.RAW)
    raise NotAPicture("is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)", RefusalCode.NO_PICTURE)


def _open_tiff(file: io.BytesIO) -> ImageFile.ImageFile:
    """Open a TIFF or, of a raw photo, the largest picture that it embeds. Raises Unreadable if that is a thumbnail."""
    data = file.getvalue()
    if not (directories := read_raw_directories(data)):
        return TiffImageFile(file)
    content_end = find_content_end(directories)
    if content_end > len(data) or ends_in_zeros(data, content_end):
        raise Unreadable(f"is damaged: {TRUNCATED_CAUSE}", RefusalCode.INCOMPLETE)
    if (preview := open_largest_preview(data, directories)) is None:
        raise Unreadable(
            f"is a raw photo in which no picture of {MIN_PREVIEW_SIDE} pixels can be read: send it as HEIC or JPEG",
            RefusalCode.RAW,
        )
    return preview


def _open_heif(file: io.BytesIO) -> HeifFile:
    return open_heif(file, convert_hdr_to_8bit=True, remove_stride=False)


def _describe_cause(error: Exception) -> tuple[str, str]:
    """Return the cause of a decoder's error in plain words, and as RefusalCode. The original stays in __cause__."""
    text = str(error).lower()
    if any(phrase in text for phrase in ("truncated", "end of file", "outside of file", "too small", "unexpected end")):
        return TRUNCATED_CAUSE, RefusalCode.INCOMPLETE
    if "unsupported" in text or "not supported" in text:
        return "it is of a variant that cannot be decoded here", RefusalCode.UNSUPPORTED
    return "its pixels cannot be decoded", RefusalCode.DAMAGED
