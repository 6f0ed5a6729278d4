"""Convert a picture file of any supported format to a photo: an upright sRGB JPEG of limited size without metadata."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageCms
from PIL.ExifTags import Base

from producer.decoding.color_metadata import ColorMetadata
from producer.decoding.deep_grey import convert_deep_grey
from producer.decoding.formats import DecodedPicture, Truncated, Unreadable, decode_picture
from producer.decoding.limits import DEFAULT_LIMITS, Limits
from producer.decoding.tone_mapping import convert_color_space
from producer.decoding.video import DecodedVideo, decode_video, is_video
from shared.jobs.refusal import RefusalCode
from shared.jpeg_marker import JPEG_MARKER, is_dream_packet
from shared.recipe.canvas import fit_photo

#: JPEG quality and chroma subsampling of a photo, the same as phone cameras use: see docs/decisions/018.
JPEG_QUALITY, CHROMA_SUBSAMPLING = 85, "4:2:0"

#: 8-bit grey level behind transparent pixels: middle grey, which gives the gradient ascent no structure to amplify.
TRANSPARENCY_BACKGROUND = 128

#: Pillow's `reducing_gap`: resampling first averages whole pixels and leaves at least this factor to the filter. Three
#: times as fast as without it for 12 megapixels, with no visible difference. Pillow's Hamming filter takes half the
#: time of Lanczos, without ringing.
REDUCING_GAP = 1.0

#: Share of a truncated picture's rows that may be missing.
MAX_MISSING_SHARE = 0.5

#: Camera name of a picture that is itself a dream.
DREAM_CAMERA = "ArtDream"

#: Characters of a camera's name, at most.
MAX_CAMERA_LENGTH = 80

#: Transposition that brings a picture upright, by EXIF orientation.
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
    #: sRGB JPEG without metadata.
    jpeg: bytes
    #: Pixels.
    width: int
    height: int
    #: The same at the size at which photos are dreamt, which is uploaded first; b"" if `jpeg` is no larger.
    working_jpeg: bytes = b""
    #: Make, model and software of the camera, from EXIF: a hint of who took the photo. "" if unknown.
    camera: str = ""
    #: The video that the photo was taken from: H.264 in MP4 of the size at which videos are dreamt; b"" if none.
    motion: bytes = b""
    #: Whether that is the video of a Live Photo, whose picture is, or will be, a file beside it.
    is_live_photo_video: bool = False


def compute_photo_id(data: bytes) -> str:
    """Return the photo id of a file's bytes: their SHA-256, in hex."""
    return hashlib.sha256(data).hexdigest()


def convert(data: bytes, limits: Limits = DEFAULT_LIMITS, *, allow_truncated: bool = False) -> Photo:
    """Convert the bytes of a picture or of a short video to a photo: upright, sRGB, at most `limits.max_side`.

    A video's photo is its sharpest picture near the middle. A photo that is larger than `limits.working_side` has a
    working photo of that long side, too.

    The format is detected from the content. Never enlarges. allow_truncated: accept a JPEG that ends too early if at
    least half of it is present. Raises Unreadable with a reason in plain words; Truncated if `allow_truncated` may
    help.
    """
    try:
        video = decode_video(data, limits) if is_video(data) else None
        decoded = video.key_frame if video else _decode_data(data, limits, allow_truncated=allow_truncated)
        # Before the picture becomes the photo, which leaves its metadata behind.
        camera = _read_video_camera(video) if video else _read_camera(decoded.picture)
        image = _normalize(decoded)
    except MemoryError as error:
        raise Unreadable("is too large for this machine's memory", RefusalCode.TOO_COMPLEX) from error
    working_jpeg = b""
    if (working_size := fit_photo(*image.size, limits.working_side)) != image.size:
        working_jpeg = _encode_jpeg(image.resize(working_size, Image.Resampling.HAMMING, reducing_gap=REDUCING_GAP))
    return Photo(
        compute_photo_id(data),
        _encode_jpeg(image),
        image.width,
        image.height,
        working_jpeg,
        camera,
        motion=video.motion if video else b"",
        is_live_photo_video=bool(video and video.is_live_photo),
    )


def _encode_jpeg(image: Image.Image) -> bytes:
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY, subsampling=CHROMA_SUBSAMPLING)
    return jpeg.getvalue()


def _decode_data(data: bytes, limits: Limits, *, allow_truncated: bool) -> DecodedPicture:
    """Decode a file. A truncated one is accepted if allowed, and if at least half of it is present."""
    try:
        return decode_picture(data, limits)
    except Truncated:
        if not allow_truncated:
            raise
    decoded = decode_picture(data, limits, allow_truncated=True)
    if _measure_missing_share(decoded.picture) > MAX_MISSING_SHARE:
        raise Unreadable("is damaged: less than half of it is there", RefusalCode.INCOMPLETE)
    return decoded


def _normalize(decoded_picture: DecodedPicture) -> Image.Image:
    """Return a decoded picture as upright 8-bit sRGB of the size of a photo, without metadata."""
    picture = decoded_picture.picture
    image = _to_resamplable_mode(picture)
    if image.size != decoded_picture.photo_size:
        image = image.resize(decoded_picture.photo_size, Image.Resampling.HAMMING, decoded_picture.box, REDUCING_GAP)
    # After resizing, as only about a seventh of the pixels is left.
    opaque, alpha = _split_alpha(image)
    image = _convert_to_srgb(opaque, decoded_picture.color)
    if alpha is not None:
        background = Image.new("RGB", image.size, (TRANSPARENCY_BACKGROUND,) * 3)
        background.paste(image, mask=alpha)
        image = background
    if (turn := _ORIENTATION_TRANSPOSES.get(decoded_picture.orientation)) is not None:
        image = image.transpose(turn)
    image.info.clear()  # Otherwise Pillow would write a comment from it into the JPEG.
    return image


def _read_camera(image: Image.Image) -> str:
    try:
        if image.info.get("comment") == JPEG_MARKER or is_dream_packet(image.info.get("xmp")):
            return DREAM_CAMERA
        exif = image.getexif()
        return _format_camera([str(exif.get(tag, "")) for tag in (Base.Make, Base.Model, Base.Software)])
    except Exception:  # Broken metadata of an intact picture.
        return ""


def _read_video_camera(video: DecodedVideo) -> str:
    return DREAM_CAMERA if video.comment == JPEG_MARKER.decode() else _format_camera(video.camera)


def _format_camera(values: Sequence[str]) -> str:
    values = [value.strip("\0 ") for value in values]
    text = " ".join(value for value in values if value)
    return "".join(character for character in text if character.isprintable())[:MAX_CAMERA_LENGTH]


def _measure_missing_share(image: Image.Image) -> float:
    """Return the share of rows at the bottom that have one colour, 0 to 1: the decoder filled them in."""
    grey = image.convert("L")
    for row in reversed(range(grey.height)):
        low, high = grey.crop((0, row, grey.width, row + 1)).getextrema()
        if low != high:
            return 1 - (row + 1) / grey.height
    return 1.0


def _to_resamplable_mode(image: Image.Image) -> Image.Image:
    """Convert palettes, bitmaps and deep grey to a mode that can be resampled."""
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda level: level / 256).convert("L")
    if image.mode in ("I", "F"):
        return convert_deep_grey(image)
    if image.mode in ("P", "PA") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode == "1":
        return image.convert("L")
    return image


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return the colors and the alpha channel of a picture; None if it has no alpha channel."""
    if image.mode in ("RGBa", "La"):
        image = image.convert(image.mode.upper())
    if image.mode not in ("RGBA", "LA"):
        return image, None
    return image.convert(image.mode[:-1]), image.getchannel("A")


def _convert_to_srgb(image: Image.Image, color: ColorMetadata) -> Image.Image:
    """Convert a picture to 8-bit sRGB by its ICC profile or, without a usable one, by its color space."""
    if image.mode == "LAB" or color.icc_profile:
        transform = _build_srgb_transform(color.icc_profile, image.mode)
        if transform is not None and transform.input_mode == transform.output_mode:
            return transform.apply_in_place(image)
        if transform is not None:
            return transform.apply(image)
    return convert_color_space(image.convert("RGB"), color.color_space)


@lru_cache(maxsize=16)
def _build_srgb_transform(icc_profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return a conversion to sRGB; None if the profile is broken or for another mode."""
    try:
        is_lab = mode == "LAB"
        source = ImageCms.createProfile("LAB") if is_lab else ImageCms.getOpenProfile(io.BytesIO(icc_profile or b""))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except ImageCms.PyCMSError:
        return None
