"""Framing: a picture of any shape, whole, on a calm background of its own colours."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import Canvas

#: Pixels of the short side of the picture that the background is made of, and the deviation of its blur.
_BACKDROP_SIDE, _BACKDROP_BLUR = 36, 5.0

#: How much of the picture is in the background; the rest is the ground.
_BACKDROP_SHARE = 0.28

#: Shadow around the picture: deviation as a share of the short side of the frame, and its darkness.
_SHADOW_BLUR, _SHADOW_DARKNESS = 0.02, 0.5

#: A color, 0 to 255 each.
Rgb = tuple[int, int, int]


class Box(NamedTuple):
    """A rectangle in a frame, in pixels; right and lower are outside."""

    left: int
    upper: int
    right: int
    lower: int


def fit_into(width: int, height: int, box: Box) -> Box:
    """Return the largest rectangle of a picture's shape in a box, in its middle."""
    scale = min((box.right - box.left) / width, (box.lower - box.upper) / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, upper = (box.left + box.right - size[0]) // 2, (box.upper + box.lower - size[1]) // 2
    return Box(left, upper, left + size[0], upper + size[1])


def frame_picture(picture: Image.Image, size: Canvas, place: Box, ground: Rgb) -> Image.Image:
    """Return a picture, scaled to a place in a frame of a size, on a background of its own colours. RGB.

    ground: color that the background tends to.
    """
    width, height = place.right - place.left, place.lower - place.upper
    backdrop = _make_backdrop(picture, size, ground)
    if (width, height) != size:
        backdrop *= 1 - _SHADOW_DARKNESS * _make_shadow(size, place)[..., None]
    # A soft gradient in eight bits shows its steps; noise of one step hides them.
    noise = np.random.default_rng(0).random((size.height, size.width, 1), np.float32)
    frame = Image.fromarray(np.floor(backdrop + noise).clip(0, 255).astype(np.uint8))
    frame.paste(picture.resize((width, height), Image.Resampling.LANCZOS), place[:2])
    return frame


def _make_backdrop(picture: Image.Image, size: Canvas, ground: Rgb) -> NDArray[np.float32]:
    """Return a picture that fills the frame, blurred and pale on its ground: (height, width, 3), 0 to 255."""
    scale = _BACKDROP_SIDE / min(size)
    small_size = Canvas(round(size.width * scale), round(size.height * scale))
    cover = max(small_size.width / picture.width, small_size.height / picture.height)
    crop = small_size.width / cover, small_size.height / cover
    left, upper = (picture.width - crop[0]) / 2, (picture.height - crop[1]) / 2
    box = max(0.0, left), max(0.0, upper), min(picture.width, left + crop[0]), min(picture.height, upper + crop[1])
    small = np.asarray(picture.resize(small_size, Image.Resampling.BOX, box=box), np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), _BACKDROP_BLUR, borderType=cv2.BORDER_REPLICATE)
    toned = _BACKDROP_SHARE * blurred + (1 - _BACKDROP_SHARE) * np.asarray(ground, np.float32)
    return np.asarray(cv2.resize(toned, size, interpolation=cv2.INTER_CUBIC), np.float32)


def _make_shadow(size: Canvas, place: Box) -> NDArray[np.float32]:
    """Return the soft shadow of a place, (height, width), 0 to 1."""
    scale = 8  # nothing of the shadow is sharp
    mask = np.zeros((-(-size.height // scale), -(-size.width // scale)), np.float32)
    left, upper, right, lower = (side // scale for side in place)
    mask[upper:lower, left:right] = 1
    blur = _SHADOW_BLUR * min(size) / scale
    return np.asarray(cv2.resize(cv2.GaussianBlur(mask, (0, 0), blur), size, interpolation=cv2.INTER_CUBIC), np.float32)
