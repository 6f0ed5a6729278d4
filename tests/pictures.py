"""Generated pictures, as PIL images, HEIC and JPEG."""

import io

import numpy as np
import pillow_heif
from PIL import Image


def make_picture(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return soft blobs of colour, different for each seed. size: width and height in pixels."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def encode_heic(picture: Image.Image) -> bytes:
    """Return the picture as HEIC, as a phone encodes it."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, quality=70, enc_params={"preset": "ultrafast"})
    return buffer.getvalue()


def encode_jpeg(picture: Image.Image) -> bytes:
    """Return the picture as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
