"""Generated pictures, as PIL images, HEIC and JPEG."""

import io

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tools.sample_photo.person import draw_person


def make_picture(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return soft blobs of colour, different for each seed. size: width and height in pixels."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC)


def make_portrait(width: int, height: int, **place: float) -> NDArray[np.uint8]:
    """Return a person in front of an evening sky: (height, width, 3). place: as for `draw_person`."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    sky = np.stack([150 + 70 * y + 20 * x, 140 + 40 * y, 210 - 60 * y + 20 * x], axis=-1).astype(np.uint8)
    return np.asarray(draw_person(Image.fromarray(sky), **place))


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
