"""Make the picture by which a Mac's decoder is checked: `python -m tools.check_picture`.

Like an iPhone's photo: HEIC, 8 bits, 4:2:0, Display P3, stored on its side, upright by `irot` and by EXIF.
"""

import io
import struct

import numpy as np
import pillow_heif
from PIL import Image
from PIL.ExifTags import Base

from producer.decoding.apple_imageio import CHECK_PICTURE
from tests.producer.icc_profiles import make_display_p3_profile

#: Colors of the tiles, no two alike and no tile like its mirror image; columns and rows, and a tile's side in pixels.
COLORS = [
    *((230, 40, 40), (40, 200, 60), (50, 70, 220), (240, 220, 60)),
    *((20, 20, 20), (200, 80, 200), (60, 200, 200), (240, 240, 240)),
    *((128, 128, 128), (250, 140, 30), (90, 50, 20), (150, 180, 250)),
]
COLUMNS, ROWS, TILE = 4, 3, 48


def make_check_picture() -> bytes:
    """Return the picture as a HEIC of 192 × 144 pixels, 144 × 192 upright."""
    tiles = np.array(COLORS, np.uint8).reshape(ROWS, COLUMNS, 3)
    return encode_like_iphone(Image.fromarray(tiles.repeat(TILE, 0).repeat(TILE, 1)))


def encode_like_iphone(picture: Image.Image) -> bytes:
    """Return a HEIC that stores an RGB picture as it is, to be turned upright by 90 degrees to the right."""
    exif = Image.Exif()
    exif[Base.Orientation], exif[Base.Make] = 6, "ArtDream"
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(
        buffer, quality=90, exif=exif.tobytes(), icc_profile=make_display_p3_profile(), icc_profile_type="prof"
    )
    file = buffer.getvalue()
    # The encoder turns the orientation into `irot` and leaves 1 in its place; iPhones write both.
    order = "<" if b"Exif\0\0II" in file else ">"
    entry = struct.pack(f"{order}HHIH", Base.Orientation, 3, 1, 1)
    return file.replace(entry, struct.pack(f"{order}HHIH", Base.Orientation, 3, 1, 6))


if __name__ == "__main__":
    CHECK_PICTURE.write_bytes(make_check_picture())
