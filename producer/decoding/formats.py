"""The formats: what kind of picture a file is by its content, and its pixels as they are in it."""

import io
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifFile, open_heif

from producer.decoding.limits import Limits
from shared.errors import ArtDreamError
from shared.recipe.canvas import scale_to_long_side

#: Major brands of files that libheif reads, and of AVIF.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}

#: Rows of a shrunk HEIC that are made at a time.
STRIP_ROWS = 64

#: Why most damaged files are.
TRUNCATED_CAUSE = "the file ends too early"


class Unreadable(ArtDreamError):
    """A file that does not become a photo. Its text goes on where the file's name stops: “is damaged: …”."""


class Truncated(Unreadable):
    """A JPEG that ends too early, of which a part may be there."""


class DecodedPicture(NamedTuple):
    """A decoded picture, no smaller than its photo is to be, with what its file says of it."""

    picture: Image.Image
    #: The size in pixels that the photo is to have, before it is brought upright.
    photo_size: tuple[int, int]
    #: The part of it that is picture, in pixels: left, top, right, bottom; None for all of it.
    box: tuple[float, float, float, float] | None = None
    #: Whether an orientation in its EXIF is a mere note. HEIC is upright once decoded: libheif applies `irot` and
    #: `imir`, and the standard (ISO/IEC 23008-12) gives no say to the orientation that iPhones write beside them.
    is_upright: bool = False


def decode_picture(data: bytes, limits: Limits, *, allow_truncated: bool = False) -> DecodedPicture:
    """Decode a file to pixels as they are in it. Raises Unreadable, and Cut where `cut` may help.

    cut: of a JPEG that ends too early take what is there; the rest is of one colour.
    """
    opener = _choose_decoder(data, limits)
    # For the whole process; a decoder does one file at a time.
    ImageFile.LOAD_TRUNCATED_IMAGES = allow_truncated and opener is JpegImageFile
    try:
        picture = opener(io.BytesIO(data))
        width, height = picture.size
        if (megapixels := width * height / 1_000_000) > limits.max_megapixels:
            raise Unreadable(f"is too large: {megapixels:,.0f} megapixels, at most {limits.max_megapixels} are taken")
        size = scale_to_long_side(width, height, min(max(width, height), limits.max_side))
        if isinstance(picture, HeifFile):
            return _decode_heif_shrunk(picture, size)
        if isinstance(picture, JpegImageFile):  # can decode to a half, a quarter or an eighth for less work
            picture.draft(picture.mode, size)
        picture.load()
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        cause = _describe_cause(error)
        kind = Truncated if cause == TRUNCATED_CAUSE and opener is JpegImageFile else Unreadable
        raise kind(f"is damaged: {cause}") from error
    return DecodedPicture(picture, size)


def _decode_heif_shrunk(heif: HeifFile, size: tuple[int, int]) -> DecodedPicture:
    """Decode a HEIC to the smallest whole fraction of its size that is no smaller than `size`.

    In strips: libheif holds the whole picture once, and it is not held a second time for Pillow.
    """
    data = heif.data
    width, height = heif.size
    factor = min(width // size[0], height // size[1])
    shrunk = Image.new(heif.mode, (-(-width // factor), -(-height // factor)))
    for top in range(0, height, STRIP_ROWS * factor):
        rows = min(STRIP_ROWS * factor, height - top)
        lines = data[top * heif.stride : (top + rows) * heif.stride]
        strip = Image.frombuffer(heif.mode, (width, rows), lines, "raw", heif.mode, heif.stride, 1)
        shrunk.paste(strip.reduce(factor), (0, top // factor))
    shrunk.info = heif.info
    # The last column and row may stand for less than `factor` of those in the file.
    return DecodedPicture(shrunk, size, (0, 0, width / factor, height / factor), is_upright=True)


def _choose_decoder(data: bytes, limits: Limits) -> Callable[[io.BytesIO], ImageFile.ImageFile | HeifFile]:
    """Choose the decoder for a file by its first bytes.

    Decoders are called one by one and not through Image.open, which would try all others too (PostScript among them),
    and which warns about large pictures for the whole process.
    """
    if not data:
        raise Unreadable("is empty")
    if len(data) > limits.max_bytes:
        raise Unreadable(
            f"is too large: {len(data) // 1_000_000} MB, at most {limits.max_bytes // 1_000_000} are taken"
        )
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in (8, *range(16, min(int.from_bytes(data[:4]), 256), 4))}
        if brands & _AVIF_BRANDS:
            return AvifImageFile
        if brands & _HEIF_BRANDS:
            return _open_heif
    if data[:3] == b"\xff\xd8\xff":
        return JpegImageFile
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PngImageFile
    if data[:4] in (b"II*\0", b"MM\0*"):
        return TiffImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    raise Unreadable("is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)")


def _open_heif(file: io.BytesIO) -> HeifFile:
    return open_heif(file, convert_hdr_to_8bit=True, remove_stride=False)


def _describe_cause(error: Exception) -> str:
    """Say in plain words why a decoder gave up. Its own words are for programmers; they stay in __cause__."""
    text = str(error).lower()
    if any(sign in text for sign in ("truncated", "end of file", "outside of file", "too small", "unexpected end")):
        return TRUNCATED_CAUSE
    if "unsupported" in text or "not supported" in text:
        return "it is of a variant that cannot be decoded here"
    return "its pixels cannot be decoded"
