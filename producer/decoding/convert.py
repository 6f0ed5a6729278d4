"""Convert a picture file of any kind into a photo: upright, sRGB, no larger than the largest canvas, no metadata."""

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageCms
from PIL.ExifTags import Base

from producer.decoding.formats import DecodedPicture, Truncated, Unreadable, decode_picture
from producer.decoding.hdr import BT2020, HDR_TRANSFERS, tone_map
from producer.decoding.limits import DEFAULT_LIMITS, Limits
from shared.jpeg_marker import JPEG_MARKER

#: JPEG quality of a photo, and how its colours are sampled, as a phone's camera does: see docs/decisions/018.
JPEG_QUALITY, CHROMA_SUBSAMPLING = 85, "4:2:0"

#: What shows through where a picture is transparent: middle grey, which gives the ascent nothing to begin from.
TRANSPARENCY_BACKGROUND = 128

#: Resampling may average whole pixels first and leave the rest, at least this factor, to the filter. Three times as
#: fast as without for 12 megapixels, and not to be told apart by eye. Pillow's Hamming filter takes half the time of
#: Lanczos, without its ringing.
REDUCING_GAP = 1.0

#: The share of a picture that ends too early which may be missing.
MAX_MISSING_SHARE = 0.5

#: The camera of a picture that is a dream already.
DREAM_CAMERA = "ArtDream"

#: Letters of a camera's name that are kept.
MAX_CAMERA_LENGTH = 80

#: How a picture with an EXIF orientation is brought upright.
_ORIENTATION_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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


def compute_photo_id(data: bytes) -> str:
    """Return the id of the photo that a file's bytes make."""
    return hashlib.sha256(data).hexdigest()


def convert(data: bytes, limits: Limits = DEFAULT_LIMITS, *, allow_truncated: bool = False) -> Photo:
    """Decode a picture by its content, bring it upright and into sRGB, shrink it to the limits' side, encode it anew.

    cut: take a JPEG that ends too early, where at least half of it is there. Never enlarges. Raises Unreadable with a
    reason that a lay person understands, Cut where `cut` may help.
    """
    try:
        found = _decode_data(data, limits, allow_truncated=allow_truncated)
        image = _normalize(found)
    except MemoryError as error:
        raise Unreadable("is too large for this machine's memory") from error
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=CHROMA_SUBSAMPLING)
    return Photo(compute_photo_id(data), jpeg.getvalue(), image.width, image.height, _read_camera(found.picture))


def _decode_data(data: bytes, limits: Limits, *, allow_truncated: bool) -> DecodedPicture:
    """Return what is in a file."""
    try:
        return decode_picture(data, limits)
    except Truncated:
        if not allow_truncated:
            raise
    found = decode_picture(data, limits, allow_truncated=True)
    if _measure_missing_share(found.picture) > MAX_MISSING_SHARE:
        raise Unreadable("is damaged: less than half of it is there")
    return found


def _normalize(decoded_picture: DecodedPicture) -> Image.Image:
    """Make a decoded picture RGB, 8 bits, sRGB, upright, of the size of a photo, with nothing else attached."""
    picture = decoded_picture.picture
    image = _to_resamplable_mode(picture)
    if image.size != decoded_picture.photo_size:
        image = image.resize(decoded_picture.photo_size, Image.Resampling.HAMMING, decoded_picture.box, REDUCING_GAP)
    image = _flatten_alpha(image)  # from here on a seventh of the pixels
    nclx = picture.info.get("nclx_profile") or {}
    if nclx.get("transfer_characteristics") in HDR_TRANSFERS and image.mode == "RGB":
        image = tone_map(image, nclx["transfer_characteristics"], wide_gamut=nclx.get("color_primaries") == BT2020)
    else:
        image = _convert_to_srgb(image, picture.info.get("icc_profile"))
    if not decoded_picture.is_upright and (turn := _ORIENTATION_TRANSPOSES.get(_read_orientation(picture))) is not None:
        image = image.transpose(turn)
    image.info.clear()  # Pillow would write a comment found here
    return image


def _read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 for none."""
    try:
        return int(image.getexif().get(Base.Orientation, 1))
    except Exception:  # broken metadata of a sound picture
        return 1


def _read_camera(image: Image.Image) -> str:
    if image.info.get("comment") == JPEG_MARKER:
        return DREAM_CAMERA
    try:
        exif = image.getexif()
        told = [str(exif.get(tag, "")).strip("\0 ") for tag in (Base.Make, Base.Model, Base.Software)]
    except Exception:  # broken metadata of a sound picture
        return ""
    text = " ".join(one for one in told if one)
    return "".join(letter for letter in text if letter.isprintable())[:MAX_CAMERA_LENGTH]


def _measure_missing_share(image: Image.Image) -> float:
    """Return the share of a picture as it lies in its file, in rows from below, that is of one colour: filled in."""
    grey = image.convert("L")
    for row in reversed(range(grey.height)):
        low, high = grey.crop((0, row, grey.width, row + 1)).getextrema()
        if low != high:
            return 1 - (row + 1) / grey.height
    return 1.0


def _to_resamplable_mode(image: Image.Image) -> Image.Image:
    """Bring palettes, bitmaps and deep grey to a mode that can be resampled."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda level: level / 256).convert("L")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("1", "F"):
        return image.convert("L")
    return image


def _flatten_alpha(image: Image.Image) -> Image.Image:
    """Lay a transparent picture over NEUTRAL."""
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode not in ("RGBA", "LA"):
        return image
    colours = image.convert(image.mode[:-1])
    ground = Image.new(colours.mode, colours.size, (TRANSPARENCY_BACKGROUND,) * len(colours.mode))
    ground.paste(colours, mask=image.getchannel("A"))
    return ground


def _convert_to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """Convert from an ICC profile, where there is a usable one, to sRGB; otherwise take the numbers as sRGB."""
    if image.mode == "LAB" or icc_profile:
        transform = _build_srgb_transform(icc_profile, image.mode)
        if transform is not None and transform.input_mode == transform.output_mode:
            return transform.apply_in_place(image)
        if transform is not None:
            return transform.apply(image)
    return image.convert("RGB")


@lru_cache(maxsize=16)
def _build_srgb_transform(icc_profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Prepare a conversion to sRGB; None where the profile is broken or made for another kind of picture."""
    try:
        lab = mode == "LAB"
        source = ImageCms.createProfile("LAB") if lab else ImageCms.getOpenProfile(io.BytesIO(icc_profile or b""))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None
