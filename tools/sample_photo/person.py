"""Draw a person in front of a picture: for the examples of recipes that look for people, and for tests."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

#: Ellipses from back to front: x and y of the centre, half the width and half the height, as shares of the person's
#: height, x from the middle and y from the lower edge; and the colour. The first three are the outline.
SHOULDERS, NECK, HAIR = (0.0, 0.0, 0.43, 0.43), (0.0, 0.43, 0.09, 0.17), (0.0, 0.76, 0.2, 0.24)
PARTS = (
    (SHOULDERS, "#28325a"),
    (NECK, "#cd9678"),
    (HAIR, "#2d1e19"),
    ((0.0, 0.7, 0.155, 0.21), "#deac8e"),
    *(((side * 0.06, 0.72, 0.031, 0.017), "#fafafa") for side in (-1, 1)),
    *(((side * 0.06, 0.72, 0.014, 0.016), "#32231e") for side in (-1, 1)),
    *(((side * 0.06, 0.77, 0.036, 0.008), "#3c281e") for side in (-1, 1)),
    ((0.0, 0.66, 0.019, 0.036), "#cd967a"),
    ((0.0, 0.582, 0.062, 0.026), "#aa5050"),
    ((0.0, 0.598, 0.07, 0.024), "#deac8e"),
)

#: The person is drawn larger by this factor, and scaled down, which makes smooth edges.
SUPERSAMPLING = 4


def draw_person(background: Image.Image, *, x: float = 0.5, scale: float = 0.83) -> Image.Image:
    """Return a picture with a person in front, head and shoulders, at its lower edge.

    x: of the middle, as a share of the width. scale: the height of the person, as a share of the picture's.
    """
    large = background.resize((background.width * SUPERSAMPLING, background.height * SUPERSAMPLING))
    draw = ImageDraw.Draw(large)
    for ellipse, color in PARTS:
        draw.ellipse(_locate(ellipse, large.size, x, scale), fill=color)
    return large.resize(background.size, Image.Resampling.LANCZOS)


def outline_person(size: tuple[int, int], *, x: float = 0.5, scale: float = 0.83) -> NDArray[np.bool_]:
    """Return which pixels such a person covers: (height, width). size: width and height of the picture."""
    outline = Image.new("1", size)
    for ellipse in (SHOULDERS, NECK, HAIR):
        ImageDraw.Draw(outline).ellipse(_locate(ellipse, size, x, scale), fill=1)
    return np.asarray(outline)


def _locate(
    ellipse: tuple[float, float, float, float], size: tuple[int, int], x: float, scale: float
) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of an ellipse in pixels."""
    width, bottom, unit = size[0], size[1], scale * size[1]
    center_x, center_y, half_width, half_height = ellipse
    return (
        width * x + (center_x - half_width) * unit,
        bottom - (center_y + half_height) * unit,
        width * x + (center_x + half_width) * unit,
        bottom - (center_y - half_height) * unit,
    )
