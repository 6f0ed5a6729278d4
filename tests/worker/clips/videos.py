"""Pictures for tests of clips, and a video decoder."""

import io

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import make_picture

Picture = NDArray[np.uint8]


def make_pictures(count: int = 4, size: tuple[int, int] = (160, 120)) -> list[Picture]:
    """Return a photo, frames and a dream, in equal steps from the first to the last: (height, width, 3) uint8."""
    photo, dream = (np.asarray(make_picture(seed, size), np.float32) for seed in (1, 2))
    return [(photo + (dream - photo) * share).astype(np.uint8) for share in np.linspace(0, 1, count)]


def decode_video(video: bytes) -> list[Picture]:
    """Return the frames of a video as (height, width, 3) uint8."""
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def resize_like(picture: Picture, reference: Picture) -> Picture:
    """Return a picture resized to the size of another."""
    return np.asarray(Image.fromarray(picture).resize(reference.shape[1::-1], Image.Resampling.LANCZOS))


def mean_difference(one: Picture, other: Picture) -> float:
    """Return the mean absolute difference of two pictures, 0 to 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())
