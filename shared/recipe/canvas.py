"""Canvases: the few fixed pixel sizes at which photos are processed.

A network is traced and tuned again for each input shape, which takes seconds (tensorflow #41325). So all photos share
a handful of shapes, which a worker can warm up before the first guest arrives.
"""

from math import ceil
from typing import NamedTuple

#: Long sides in pixels: tests, phone, laptop, large wall, huge wall, and two for prints.
LONG_SIDES = (256, 512, 640, 1024, 1536, 2048, 4096)

#: Largest long side in pixels of a stored photo that is no panorama; more than a wall needs. A larger canvas scales the
#: photo up.
MAX_PHOTO_SIDE = 1536

#: Long side ÷ short side. Phones and cameras take 4:3; 16:9 covers video stills, 1:1 the rest.
ASPECT_RATIOS = (1.0, 4 / 3, 16 / 9)

#: Long side ÷ short side above which a photo is a panorama.
PANORAMA_ASPECT = 2.0

#: Long sides of the canvases for panoramas, as multiples of the long side of others; their short side is half of it.
#: The first one is for phones whose photos have the shape of their screen, 20:9.
PANORAMA_LENGTHS = (1.25, 2.0)

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


def scale_to_canvas(width: int, height: int, long_side: int) -> Canvas:
    """Return the size in pixels at which a photo is dreamt on canvases of a long side; each side is at least 1.

    It is that of `scale_to_long_side`, or larger for a panorama: its short side is half of `long_side`, as long as its
    long side is at most twice that. So no photo has more pixels than a square one.
    """
    photo = scale_to_long_side(width, height, long_side)
    factor = min(max(photo) / min(photo) / PANORAMA_ASPECT, 2)
    return photo if factor <= 1 else Canvas(round(photo.width * factor), round(photo.height * factor))


def fit_photo(width: int, height: int, long_side: int) -> Canvas:
    """Return the size in pixels of a photo that is large enough for canvases of a long side; it is never enlarged."""
    photo = scale_to_canvas(width, height, long_side)
    return photo if photo.width <= width and photo.height <= height else Canvas(width, height)


def choose_canvas(width: int, height: int, long_side: int) -> Canvas:
    """Return the smallest canvas that contains a width × height photo scaled by `scale_to_canvas`.

    The photo fills the canvas along one side, or is a panorama; the worker pads the rest and crops the result.
    Panoramas have canvases of their own, which workers do not warm up: few guests send one.
    """
    photo = scale_to_canvas(width, height, long_side)
    panoramas = [Canvas(round(length * long_side), long_side // 2) for length in PANORAMA_LENGTHS]
    canvases = [*list_canvases(long_side), *panoramas, *(Canvas(height, width) for width, height in panoramas)]
    large_enough = [c for c in canvases if c.width >= photo.width and c.height >= photo.height]
    return min(large_enough, key=lambda canvas: canvas.width * canvas.height)
