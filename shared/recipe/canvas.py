"""The few fixed pixel sizes that photos are dreamt at.

A network traces and tunes itself anew for each input shape, which costs seconds (tensorflow #41325), so photos
share a handful of shapes that a worker can warm before the first guest arrives.
"""

from math import ceil
from typing import NamedTuple

#: Long sides in pixels: a thumbnail for tests, a phone, a laptop, a large wall, a very large one, two for prints.
LONG_SIDES = (256, 512, 640, 1024, 1536, 2048, 4096)

#: The longest side of a photo that is kept: more than a wall needs. A larger canvas scales it up.
MAX_PHOTO_SIDE = 1536

#: Long side ÷ short side. Phones and cameras make 4:3; 16:9 covers video stills; 1:1 the rest.
ASPECT_RATIOS = (1.0, 4 / 3, 16 / 9)

#: Canvas sides are multiples of this, so that the strides of the networks divide them.
SIDE_MULTIPLE = 32


class Canvas(NamedTuple):
    """A size in pixels."""

    width: int
    height: int


def list_canvases(long_side: int) -> list[Canvas]:
    """List every canvas of one long side, landscape before portrait."""
    shapes = []
    for aspect in ASPECT_RATIOS:
        short_side = ceil(long_side / aspect / SIDE_MULTIPLE) * SIDE_MULTIPLE
        shapes.append(Canvas(long_side, short_side))
        if short_side != long_side:
            shapes.append(Canvas(short_side, long_side))
    return shapes


def scale_to_long_side(width: int, height: int, long_side: int) -> Canvas:
    """Return the size of a width × height photo scaled, up or down, to a long side; each side at least 1."""
    scale = long_side / max(width, height)
    return Canvas(max(1, round(width * scale)), max(1, round(height * scale)))


def choose_canvas(width: int, height: int, long_side: int) -> Canvas:
    """Choose the smallest canvas that holds a width × height photo scaled to long_side.

    The photo fills the canvas along one side; what it leaves free along the other is the worker's to pad and crop.
    """
    photo = scale_to_long_side(width, height, long_side)
    holding = [c for c in list_canvases(long_side) if c.width >= photo.width and c.height >= photo.height]
    return min(holding, key=lambda canvas: canvas.width * canvas.height)
