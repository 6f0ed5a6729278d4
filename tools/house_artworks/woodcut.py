"""The technique of a woodcut: its few inks, engraved lines, printed areas, and the print itself."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix, random_field, smoothstep

PAPER, FOAM, INDIGO, BLUE, PALE, SUN, DUSK = hex_to_rgb(
    "e8dab6", "f8f2e0", "16264f", "3a6a9c", "9cc0c4", "cf4f34", "c9b795"
)
LINE_INKS = (INDIGO, BLUE, INDIGO, PALE, BLUE, FOAM)  # of successive lines in a bundle


def interpolate_curve(points: tuple[tuple[float, float], ...], count: int) -> Array:
    """Return a smooth line (count, 2) through points (Catmull-Rom)."""
    p = np.array(points)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    position = np.linspace(0, len(points) - 1.001, count)
    k, f = position.astype(int), (position % 1)[:, None]
    a, b, c, d = p[k], p[k + 1], p[k + 2], p[k + 3]
    line: Array = 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - 3 * c + d - a) * f**3)
    return line


def engrave_line(canvas: PaintCanvas, path: Array, width: float, ink: Array, taper: float = 0.75) -> None:
    """Draw one engraved line; path: (n, 2) in shares of the width, width: pixels."""
    canvas.stroke(path * canvas.width, width, ink, dryness=0.04, paint_thickness=0, taper=taper)


def fill_area(canvas: PaintCanvas, signed_distance: Array, ink: Array) -> None:
    """Print one ink in the area with a positive signed_distance, in pixels."""
    canvas.color = mix(canvas.color, ink, smoothstep(-0.8, 0.8, signed_distance))


def render_print(canvas: PaintCanvas) -> Image.Image:
    """Return the print: grain of the block in every ink, fibres in the paper, ink worn at the edges."""
    rng, shape = canvas.rng, canvas.shape
    bend = canvas.y + 26 * random_field(rng, shape, (260, 500), 2)
    grain = np.sin(bend / 3.1 + 3.5 * random_field(rng, shape, (16, 420), 2)) + 0.8 * random_field(
        rng, shape, (3, 90), 2
    )
    ink = np.clip(1.1 - 1.25 * canvas.color.mean(-1), 0.06, 1)
    wear = smoothstep(1.0, 2.8, random_field(rng, shape, (4, 9), 2) + 0.5 * grain + 0.8 * random_field(rng, shape, 190))
    canvas.color = mix(canvas.color, PAPER, 0.30 * wear * ink)
    tone = (
        1
        + 0.065 * grain * ink
        + 0.035 * random_field(rng, shape, 130, 3)
        + 0.018 * random_field(rng, shape, (4, 14), 2)
    )
    canvas.color = canvas.color * tone[..., None]
    canvas.thickness = 0.5 * random_field(rng, shape, 4, 2) + 1.2 * ink
    return canvas.render(0.12)
