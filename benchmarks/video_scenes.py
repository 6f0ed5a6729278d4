"""Videos made of photos, for measurements: a pan, a camera held by hand and a cut, an object, and changing light.

Each has the noise of a sensor and H.264's compression, as videos of phones have.
"""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas
from worker.clips.guest_video import VIDEO_RATE, GuestVideo, load_video
from worker.clips.video_encoder import encode_mp4
from worker.dreamer import Pixels

#: Width and height of the pictures.
SIZE = Canvas(640, 480)

#: Size of the photos, so that a part of them is not much larger than the picture that is made of it.
PHOTO_SIZE = Canvas(960, 720)

#: Standard deviation of the sensor's noise, in grey levels.
NOISE = 2.0


def pan(photos: Sequence[Pixels], count: int) -> Iterator[Pixels]:
    """Pan over a photo and come nearer."""
    for share in np.linspace(0, 1, count):
        yield _look_at(photos[0], 0.35 + 0.3 * share, 0.45 + 0.1 * share, 0.8 - 0.2 * share, 0)


def hold(photos: Sequence[Pixels], count: int) -> Iterator[Pixels]:
    """Hold a camera with an unsteady hand, and cut to another photo after two thirds."""
    rng = np.random.default_rng(3)
    places, angles = 0.5 + np.cumsum(rng.normal(0, 0.004, (count, 2)), axis=0), np.cumsum(rng.normal(0, 0.5, count))
    for number in range(count):
        photo = photos[0] if number < count * 2 // 3 else photos[1]
        x, y = places[number]
        yield _look_at(photo, x, y, 0.7 - 0.002 * number, angles[number])


def move(photos: Sequence[Pixels], count: int) -> Iterator[Pixels]:
    """Let a round part of one photo fly through another one."""
    side = SIZE.height // 2
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    weight = np.clip((side / 2 - np.hypot(x, y)) / 2, 0, 1)[..., None]
    part = np.asarray(Image.fromarray(_look_at(photos[1], 0.5, 0.5, 0.8, 0)).resize((side, side)))
    for number, share in enumerate(np.linspace(0, 1, count)):
        picture = _look_at(photos[0], 0.5 + 0.003 * np.sin(number), 0.5, 0.75, 0).astype(np.float32)
        left, top = round(share * (SIZE.width - side)), round((0.25 + 0.25 * np.sin(5 * share)) * (SIZE.height - side))
        place = picture[top : top + side, left : left + side]
        place[:] = weight * part + (1 - weight) * place
        yield picture.astype(np.uint8)


def lighten(photos: Sequence[Pixels], count: int) -> Iterator[Pixels]:
    """Let the light of a still scene grow by half, while a ball rolls through it."""
    for share in np.linspace(0, 1, count):
        picture = np.ascontiguousarray(_look_at(photos[0], 0.5, 0.5, 0.8, 0) * np.float32(0.75 + 0.35 * share))
        center = round(60 + 520 * share), round(300 - 200 * np.sin(3 * share))
        yield np.clip(cv2.circle(picture, center, 45, (230, 120, 40), -1, cv2.LINE_AA), 0, 255).astype(np.uint8)


SCENES: dict[str, Callable[[Sequence[Pixels], int], Iterator[Pixels]]] = {
    "pan": pan,
    "hand and cut": hold,
    "object": move,
    "light": lighten,
}


def make_video(scene: str, photos: Sequence[Image.Image], count: int, long_side: int) -> GuestVideo:
    """Return a guest's video of so many pictures, as a worker loads it. photos: at least two."""
    small = [np.asarray(photo.resize(PHOTO_SIZE, Image.Resampling.LANCZOS)) for photo in photos]
    rng = np.random.default_rng(0)
    pictures = [
        np.clip(picture + rng.normal(0, NOISE, picture.shape), 0, 255).astype(np.uint8)
        for picture in SCENES[scene](small, count)
    ]
    return load_video(encode_mp4(_Pictures(pictures)), Image.fromarray(pictures[count // 2]), long_side)


class _Pictures:
    """Pictures that the encoder takes."""

    size, rate = SIZE, VIDEO_RATE

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        self._pictures = pictures

    def __len__(self) -> int:
        return len(self._pictures)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self._pictures)


def _look_at(photo: Pixels, x: float, y: float, share: float, degrees: float) -> Pixels:
    """Return a part of a photo in SIZE: its centre and its width, as shares of the photo's, and its rotation."""
    height, width, _ = photo.shape
    scale = share * min(width / SIZE.width, height / SIZE.height)
    cosine, sine = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    left = x * width - (cosine * SIZE.width - sine * SIZE.height) / 2
    top = y * height - (sine * SIZE.width + cosine * SIZE.height) / 2
    matrix = np.array([[cosine, -sine, left], [sine, cosine, top]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(photo, matrix, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT), np.uint8)
