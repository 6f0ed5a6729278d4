"""The limits within which a file is decoded."""

from typing import NamedTuple

from shared.recipe.canvas import MAX_PHOTO_SIDE


class Limits(NamedTuple):
    """What a picture may cost at most."""

    #: Bytes of a file: twice a 48-megapixel ProRAW-sized TIFF. A film would only fill the memory.
    max_bytes: int = 300_000_000
    #: Decoded, a picture takes 4 bytes a pixel, twice over for HEIC. This lets the 108-megapixel phones in and keeps a
    #: decompression bomb (a small file that claims 50,000 × 50,000) out.
    max_megapixels: int = 120
    #: What one file may take.
    timeout_seconds: float = 30.0
    #: The long side that a photo is shrunk to, in pixels; at most LARGEST.
    max_side: int = MAX_PHOTO_SIDE


#: Where an installation sets none.
DEFAULT_LIMITS = Limits()
