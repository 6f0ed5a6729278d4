"""Limits on size and time for decoding a file."""

from typing import NamedTuple

from shared.recipe.canvas import MAX_PHOTO_SIDE


class Limits(NamedTuple):
    """Upper limits for one picture."""

    #: Bytes of a file: twice a 48-megapixel ProRAW-sized TIFF. Refuses long videos, which would only fill the memory.
    max_bytes: int = 300_000_000
    #: Of what is decoded, at up to 8 bytes per pixel; of a HEIC twice as many, which accepts the 200 megapixels of some
    #: phones. Refuses a decompression bomb (a small file that claims 50,000 × 50,000).
    max_megapixels: int = 120
    #: Wall-clock time for one file.
    timeout_seconds: float = 30.0
    #: Long side of a photo in pixels; at most MAX_PHOTO_SIDE.
    max_side: int = MAX_PHOTO_SIDE
    #: Long side of a working photo in pixels: a photo that is larger has one.
    working_side: int = MAX_PHOTO_SIDE
    #: Whether the video beside a picture is its motion, as in a Live Photo.
    live_photos: bool = False


#: Used if no limits are configured.
DEFAULT_LIMITS = Limits()
