"""Convert a picture file of any kind into a photo: upright, sRGB, no larger than the largest canvas, no metadata."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from producer.hdr import BT2020, TRANSFERS, toned
from producer.limits import Limits
from shared.canvas import LARGEST, fitted
from shared.errors import ArtDreamError
from shared.signature import SIGNATURE

#: JPEG quality of a photo. Without chroma subsampling: a shrunk photo has colour at every pixel, and the dream feeds on
#: it; costs 25 % more bytes and no time.
QUALITY = 92

#: What shows through where a picture is transparent: middle grey, which gives the ascent nothing to begin from.
NEUTRAL = 128

#: Resampling may average whole pixels first as long as the rest, at least this factor, is left to the filter. Three
#: times as fast as without for 12 megapixels, and not to be told apart by eye. Pillow's Hamming filter takes half the
#: time of Lanczos, without its ringing.
REDUCING_GAP = 1.1

#: The share of a picture that ends too early which may be missing, and the grey levels within which a row of it counts
#: as missing: what is not there was filled in, and shrunk.
MOST_MISSING, FLAT = 0.5, 4

#: The camera of a picture that is a dream already.
DREAMER = "ArtDream"

#: Letters of a camera's name that are kept.
CAMERA = 80

STANDARD = Limits()

#: How a picture with an EXIF orientation is brought upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

#: Major brands of files that libheif reads, and of AVIF.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}


class Unreadable(ArtDreamError):
    """A file that does not become a photo. Its text goes on where the file's name stops: “is damaged: …”."""


@dataclass(frozen=True)
class Photo:
    """A guest's picture, ready for the store."""

    #: SHA-256 of the original bytes, in hex.
    photo_id: str
    #: sRGB JPEG without any metadata.
    jpeg: bytes
    #: Pixels.
    width: int
    height: int
    #: Make, model and software of the camera as far as the file tells: a hint at whose photo it is.
    camera: str = ""


class Decoded(NamedTuple):
    """A decoded picture, and the size in pixels that its photo is to have, before it is brought upright."""

    picture: ImageFile.ImageFile
    size: tuple[int, int]


def photo_id(data: bytes) -> str:
    """Return the id of the photo that a file's bytes make."""
    return hashlib.sha256(data).hexdigest()


def convert(data: bytes, limits: Limits = STANDARD, *, cut: bool = False) -> Photo:
    """Decode a picture by its content, bring it upright and into sRGB, shrink it to LARGEST, encode it anew.

    cut: take a JPEG that ends too early, where at least half of it is there. Never enlarges. Raises Unreadable with a
    reason that a lay person understands.
    """
    try:
        decoded = _decoded(data, limits, cut=cut)
        image = _normal(decoded)
    except MemoryError as error:
        raise Unreadable("is too large for this machine's memory") from error
    if cut and _emptiness(image) > MOST_MISSING:
        raise Unreadable("is damaged: less than half of it is there")
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=QUALITY, subsampling=0)
    return Photo(photo_id(data), jpeg.getvalue(), image.width, image.height, _camera(decoded.picture))


def _decoded(data: bytes, limits: Limits, *, cut: bool) -> Decoded:
    """Decode a file to pixels as they are in it. Raises Unreadable."""
    opener = _opener(data, limits)
    # For the whole process; a decoder does one file at a time.
    ImageFile.LOAD_TRUNCATED_IMAGES = cut and opener is JpegImageFile
    try:
        picture = opener(io.BytesIO(data))
        if (megapixels := picture.width * picture.height / 1_000_000) > limits.megapixels:
            raise Unreadable(f"is too large: {megapixels:,.0f} megapixels, at most {limits.megapixels} are taken")
        size = fitted(*picture.size, min(max(picture.size), LARGEST))
        if isinstance(picture, JpegImageFile):  # can decode to a half, a quarter or an eighth for less work
            picture.draft(picture.mode, size)
        picture.load()
    except (Unreadable, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they like on broken files
        raise Unreadable(f"is damaged: {_cause(error)}") from error
    return Decoded(picture, size)


def _opener(data: bytes, limits: Limits) -> Callable[[io.BytesIO], ImageFile.ImageFile]:
    """Choose the decoder for a file by its first bytes.

    Decoders are called one by one and not through Image.open, which would try all others too (PostScript among them),
    and which warns about large pictures for the whole process.
    """
    if not data:
        raise Unreadable("is empty")
    if len(data) > limits.size:
        raise Unreadable(f"is too large: {len(data) // 1_000_000} MB, at most {limits.size // 1_000_000} are taken")
    if data[4:8] == b"ftyp":
        brands = {data[at : at + 4] for at in (8, *range(16, min(int.from_bytes(data[:4]), 256), 4))}
        if brands & _AVIF:
            return AvifImageFile
        if brands & _HEIF:
            return HeifImageFile  # type: ignore[no-any-return]
    if data[:3] == b"\xff\xd8\xff":
        return JpegImageFile
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return PngImageFile
    if data[:4] in (b"II*\0", b"MM\0*"):
        return TiffImageFile
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebPImageFile
    raise Unreadable("is not a picture (HEIC, JPEG, PNG, WebP, TIFF or AVIF)")


def _normal(decoded: Decoded) -> Image.Image:
    """Make a decoded picture RGB, 8 bits, sRGB, upright, of the size of a photo, with nothing else attached."""
    picture = decoded.picture
    image = _plain(picture)
    if image.size != decoded.size:
        image = image.resize(decoded.size, Image.Resampling.HAMMING, reducing_gap=REDUCING_GAP)
    image = _opaque(image)  # from here on a seventh of the pixels
    nclx = picture.info.get("nclx_profile") or {}
    if nclx.get("transfer_characteristics") in TRANSFERS and image.mode == "RGB":
        image = toned(image, nclx["transfer_characteristics"], wide=nclx.get("color_primaries") == BT2020)
    else:
        image = _in_srgb(image, picture.info.get("icc_profile"))
    if (turn := _TURNS.get(_orientation(picture))) is not None:
        image = image.transpose(turn)
    image.info.clear()  # Pillow would write a comment found here
    return image


def _orientation(picture: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation that is still to be applied, 1 for none.

    HEIC is upright once decoded: libheif applies `irot` and `imir`, and the standard (ISO/IEC 23008-12) makes the
    EXIF orientation that iPhones write beside them a mere note.
    """
    if isinstance(picture, HeifImageFile):
        return 1
    try:
        return int(picture.getexif().get(Base.Orientation, 1))
    except Exception:  # broken metadata of a sound picture
        return 1


def _camera(picture: ImageFile.ImageFile) -> str:
    if picture.info.get("comment") == SIGNATURE:
        return DREAMER
    try:
        exif = picture.getexif()
        told = [str(exif.get(tag, "")).strip("\0 ") for tag in (Base.Make, Base.Model, Base.Software)]
    except Exception:  # broken metadata of a sound picture
        return ""
    text = " ".join(one for one in told if one)
    return "".join(letter for letter in text if letter.isprintable())[:CAMERA]


def _emptiness(image: Image.Image) -> float:
    """Return the share of a picture, counted in rows from below, that is of one colour only."""
    rows = np.asarray(image.convert("L"))[::-1]
    full = np.flatnonzero(rows.max(axis=1) - rows.min(axis=1) > FLAT)
    return float(full[0] / len(rows)) if len(full) else 1.0


def _plain(image: Image.Image) -> Image.Image:
    """Bring palettes, bitmaps and deep grey to a mode that can be resampled."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("1", "F"):
        return image.convert("L")
    return image


def _opaque(image: Image.Image) -> Image.Image:
    """Lay a transparent picture over NEUTRAL."""
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode not in ("RGBA", "LA"):
        return image
    colours = image.convert(image.mode[:-1])
    ground = Image.new(colours.mode, colours.size, (NEUTRAL,) * len(colours.mode))
    ground.paste(colours, mask=image.getchannel("A"))
    return ground


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert from an ICC profile, where there is a usable one, to sRGB; otherwise take the numbers as sRGB."""
    if image.mode == "LAB" or profile:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return transform.apply(image)
    return image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Prepare a conversion to sRGB; None where the profile is broken or made for another kind of picture."""
    try:
        lab = mode == "LAB"
        source = ImageCms.createProfile("LAB") if lab else ImageCms.getOpenProfile(io.BytesIO(profile or b""))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None


def _cause(error: Exception) -> str:
    """Say in plain words why a decoder gave up. Its own words are for programmers; they stay in __cause__."""
    text = str(error).lower()
    if any(sign in text for sign in ("truncated", "end of file", "outside of file", "too small", "unexpected end")):
        return "the file ends too early"
    if "unsupported" in text or "not supported" in text:
        return "it is of a variant that cannot be decoded here"
    return "its pixels cannot be decoded"
