"""Logos: turn a picture of the host into a PNG that pages, prints and clips can use."""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps

from shared.errors import ArtDreamError
from shared.storage.object_names import logo_name

#: Size of the largest file in bytes, and of the largest picture in pixels.
MAX_LOGO_BYTES, MAX_LOGO_PIXELS = 10_000_000, 40_000_000

#: Long side of a stored logo in pixels: that of a wall of 3840 pixels, or of a print.
LOGO_LONG_SIDE = 1600

#: Formats that are read, as Pillow names them. An SVG may hold scripts and links, and prints need pixels.
_FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Logo:
    """A logo as it is stored."""

    png: bytes

    @property
    def object_name(self) -> str:
        """The object name in the store, which depends on the content."""
        return logo_name(hashlib.sha256(self.png).hexdigest())


def prepare_logo(data: bytes) -> Logo:
    """Return a picture as a PNG of at most LOGO_LONG_SIDE pixels, without metadata and without a transparent margin.

    data: a PNG, JPEG or WebP file. Raises ArtDreamError that says why it cannot be used.
    """
    if len(data) > MAX_LOGO_BYTES:
        raise ArtDreamError(f"The logo has more than {MAX_LOGO_BYTES // 1_000_000} MB: save a smaller one.")
    if b"<svg" in data[:4096].lower():
        raise ArtDreamError("SVG logos are not supported: export it as a PNG with a transparent background.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            return Logo(_encode(_read(data)))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's own, for damaged files
        raise ArtDreamError("The logo cannot be read: save it as PNG, JPEG or WebP.") from error


def _read(data: bytes) -> Image.Image:
    """Return the picture, RGB or RGBA, upright."""
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        if image.width * image.height > MAX_LOGO_PIXELS:
            raise ArtDreamError(
                f"The logo has more than {MAX_LOGO_PIXELS // 1_000_000} megapixels: save a smaller one."
            )
        upright = ImageOps.exif_transpose(image)
        return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def _encode(image: Image.Image) -> bytes:
    if image.mode == "RGBA":
        visible_box = image.getchannel("A").getbbox()
        if visible_box is None:
            raise ArtDreamError("The logo is transparent everywhere: save it again.")
        image = image.crop(visible_box)
    image.thumbnail((LOGO_LONG_SIDE, LOGO_LONG_SIDE), Image.Resampling.LANCZOS)
    image.info.clear()
    png = io.BytesIO()
    image.save(png, "PNG", optimize=True)
    return png.getvalue()
