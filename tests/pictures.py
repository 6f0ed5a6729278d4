"""Pictures that tests make for themselves."""

import io

import numpy as np
import pillow_heif
from PIL import Image


def make_picture(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return soft blobs of colour, different for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encode_heic(picture: Image.Image) -> bytes:
    """Encode as HEIC, as a phone does."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, quality=70)
    return buffer.getvalue()


def encode_jpeg(picture: Image.Image) -> bytes:
    """Encode as JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
