"""Canvases: the few fixed pixel sizes at which photos are processed.

A network is traced and tuned again for each input shape, which takes seconds (tensorflow #41325). So all photos share
a handful of shapes, which a worker can warm up before the first guest arrives.
"""

from math import ceil
from typing import NamedTuple

#: Long sides in pixels: tests, phone, laptop, large wall, very large wall, and two for prints.
LONG_SIDES = (256, 512, 640, 1024, 1536, 2048, 4096)

#: Largest long side in pixels of a stored photo; more than a wall needs. A larger canvas scales the photo up.
MAX_PHOTO_SIDE = 1536

#: Long side ÷ short side. Phones and cameras take 4:3; 16:9 covers video stills, 1:1 the rest.
ASPECT_RATIOS = (1.0, 4 / 3, 16 / 9)

#: Canvas sides are multiples of this number of pixels, so that the strides of the networks divide them.
SIDE_MULTIPLE = 32


class Canvas(NamedTuple):
    """A size in pixels."""

    width: int
    height: int


def list_canvases(long_side: int) -> list[Canvas]:
    """Return every canvas with a long side of so many pixels, landscape before portrait."""
    shapes = []
    for aspect in ASPECT_RATIOS:
        short_side = ceil(long_side / aspect / SIDE_MULTIPLE) * SIDE_MULTIPLE
        shapes.append(Canvas(long_side, short_side))
        if short_side != long_side:
            shapes.append(Canvas(short_side, long_side))
    return shapes


def scale_to_long_side(width: int, height: int, long_side: int) -> Canvas:
    """Return the size in pixels of a photo scaled, up or down, to a long side; each side is at least 1."""
    scale = long_side / max(width, height)
    return Canvas(max(1, round(width * scale)), max(1, round(height * scale)))


def choose_canvas(width: int, height: int, long_side: int) -> Canvas:
    """Return the smallest canvas that contains a width × height photo scaled to `long_side`.

    The photo fills the canvas along one side; the worker pads the other side and crops the result.
    """
    photo = scale_to_long_side(width, height, long_side)
    large_enough = [c for c in list_canvases(long_side) if c.width >= photo.width and c.height >= photo.height]
    return min(large_enough, key=lambda canvas: canvas.width * canvas.height)
