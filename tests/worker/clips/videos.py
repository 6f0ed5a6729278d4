"""What tests of moving pictures stand on: a dream of a few colours, and a player."""

import io

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import make_picture

Picture = NDArray[np.uint8]


def make_pictures(count: int = 4, size: tuple[int, int] = (160, 120)) -> list[Picture]:
    """Return a photo, frames and a dream, each a step from the first towards the last."""
    photo, dream = (np.asarray(make_picture(seed, size), np.float32) for seed in (1, 2))
    return [(photo + (dream - photo) * share).astype(np.uint8) for share in np.linspace(0, 1, count)]


def decode_video(video: bytes) -> list[Picture]:
    """Return the pictures of a video."""
    with av.open(io.BytesIO(video)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def resize_like(picture: Picture, reference: Picture) -> Picture:
    """Return a picture in the size of another."""
    return np.asarray(Image.fromarray(picture).resize(reference.shape[1::-1], Image.Resampling.LANCZOS))


def mean_difference(one: Picture, other: Picture) -> float:
    """Return how far two pictures are from each other: the mean difference, 0 to 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())
