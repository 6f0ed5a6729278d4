"""Pictures for tests of clips, and a video decoder."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas
from shared.recipe.recipe import Recipe
from tests.pictures import make_picture
from worker.clips.video_encoder import encode_mp4
from worker.dreamer import Change, Dreamer

Picture = NDArray[np.uint8]


def make_pictures(count: int = 4, size: tuple[int, int] = (160, 120)) -> list[Picture]:
    """Return a photo, frames and a dream, in equal steps from the first to the last: (height, width, 3) uint8."""
    photo, dream = (np.asarray(make_picture(seed, size), np.float32) for seed in (1, 2))
    return [(photo + (dream - photo) * share).astype(np.uint8) for share in np.linspace(0, 1, count)]


def decode_video(video: bytes) -> list[Picture]:
    """Return the frames of a video as (height, width, 3) uint8."""
    with av.open(io.BytesIO(video), "r") as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def resize_like(picture: Picture, reference: Picture) -> Picture:
    """Return a picture resized to the size of another."""
    return np.asarray(Image.fromarray(picture).resize(reference.shape[1::-1], Image.Resampling.LANCZOS))


def mean_difference(one: Picture, other: Picture) -> float:
    """Return the mean absolute difference of two pictures, 0 to 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


class Pictures:
    """Pictures as an animation, which `encode_mp4` takes."""

    def __init__(self, pictures: Sequence[Picture], rate: int = 10) -> None:
        height, width, _ = pictures[0].shape
        self.size, self.rate = Canvas(width, height), rate
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self._pictures)


def make_pan(count: int, size: tuple[int, int] = (96, 64), pixels: int = 2) -> list[Picture]:
    """Return the pictures of a camera that pans to the right by so many pixels from one to the next."""
    width, height = size
    rng = np.random.default_rng(3)
    wide = Image.fromarray(rng.integers(20, 236, (height // 4, (width + count * pixels) // 4), dtype=np.uint8)).convert(
        "RGB"
    )
    scene = np.asarray(wide.resize((width + count * pixels, height), Image.Resampling.BICUBIC))
    return [scene[:, number * pixels : number * pixels + width] for number in range(count)]


def encode_video(pictures: Sequence[Picture]) -> bytes:
    """Return a guest's video as it lies in the store."""
    return encode_mp4(Pictures(pictures))


class SpeckledDreamer(Dreamer):
    """Dreams specks into each picture, others into every one; with a dream to begin with, it adds nothing to that."""

    def __init__(self) -> None:
        #: Number of pictures that were dreamt with no dream to begin with, and with one.
        self.whole, self.followed = 0, 0

    def warm_up(self, recipe: Recipe) -> None:
        raise NotImplementedError

    def dream_batch(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def dream_next(
        self,
        photo: Picture,
        recipe: Recipe,  # noqa: ARG002
        *,
        seed: int,
        change: Change | None = None,
        on_step: Callable[[], None] = lambda: None,
    ) -> tuple[Picture, Change]:
        on_step()
        if change is None:
            self.whole += 1
            rng = np.random.default_rng(int(hashlib.sha256(photo.tobytes()).hexdigest(), 16) + seed)
            specks = Image.fromarray(rng.integers(0, 256, (photo.shape[0] // 4, photo.shape[1] // 4), dtype=np.uint8))
            noise = np.asarray(specks.resize(photo.shape[1::-1]), np.float32)[..., None].repeat(3, 2)
            change = (noise / 255 - 0.5).astype(np.float32)
        else:
            self.followed += 1
        dream = np.clip(photo + 127.5 * change, 0, 255).round().astype(np.uint8)
        return dream, change
