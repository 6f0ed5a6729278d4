"""The objects on the cubist's table: a guitar, a bottle and sheets of music, drawn in pieces."""

import numpy as np

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb

FACET_COLORS = hex_to_rgb(
    "d09a40", "8f5526", "62788c", "dcbb78", "435668", "ab7432", "8fa5b4", "ead9b0", "583519", "7f93a3", "74664f"
)
INK = hex_to_rgb("1d1611")[0]
PAPER = hex_to_rgb("e9dcbc")[0]


def draw_line(canvas: PaintCanvas, x: Array, y: Array, width: float, tint: Array = INK) -> None:
    """Draw a line through points given as shares of the width."""
    path = np.stack([np.broadcast_to(x, np.broadcast(x, y).shape), np.broadcast_to(y, np.broadcast(x, y).shape)], -1)
    canvas.stroke(path * canvas.width, width, tint, dryness=0.3, taper=0.35)


def draw_guitar(canvas: PaintCanvas) -> None:
    """Draw a guitar in pieces: two halves of its body that do not meet, and a sound hole seen twice."""
    t = np.linspace(0, 1, 40)
    waist = 0.150 + 0.045 * np.cos(4.4 * np.pi * t) + 0.045 * t
    for side, shift, top in ((-1, 0.0, 0.50), (1, 0.035, 0.455)):
        outline = 0.47 + shift + side * waist * np.sin(np.pi * t) ** 0.42 - 0.12 * (t - 0.5)
        for offset, tint, line_width in ((0.016, FACET_COLORS[8], 30), (-0.012, FACET_COLORS[3], 18), (0.0, INK, 9)):
            draw_line(canvas, outline + side * offset, top + 0.52 * t, line_width, tint)
    for x, y, radius, arc in ((0.475, 0.665, 0.052, (0.2, 5.2)), (0.515, 0.635, 0.052, (3.6, 7.1))):
        a = np.linspace(*arc, 30)
        for ring, tint, line_width in (
            (0.35, FACET_COLORS[8], 34),
            (0.78, FACET_COLORS[3], 9),
            (0.62, INK, 7),
            (1.0, INK, 8),
        ):
            draw_line(canvas, x + ring * radius * np.cos(a), y + ring * radius * np.sin(a), line_width, tint)


def draw_objects(canvas: PaintCanvas) -> None:
    """Draw the lines over the planes: strings and frets, the two shifted halves of a bottle, and staves."""
    rng, t = canvas.rng, np.linspace(0, 1, 24)
    for k in range(5):
        draw_line(
            canvas, 0.437 + 0.015 * k + 0.12 * (0.5 - t), 0.17 + (0.66 + 0.02 * k) * t, 4, (INK, FACET_COLORS[7])[k % 2]
        )
    for fret in 0.20 + 0.45 * (1 - 0.9 ** np.arange(9)):
        draw_line(canvas, np.array([0.475, 0.565]) - 0.16 * (fret - 0.17), np.array([fret, fret - 0.012]), 6)
    neck = 0.050 + 0.05 / (1 + np.exp(-(t - 0.40) * 22))
    for k in range(9):  # its dark and its light side, hatched
        dark, light = FACET_COLORS[4 if k % 3 else 8], FACET_COLORS[6 if k % 2 else 7]
        draw_line(canvas, 0.775 - neck * (1 - 0.09 * k), 0.31 + 0.02 * k + (0.45 - 0.04 * k) * t, 11 - k, dark)
        draw_line(canvas, 0.800 + neck * (1 - 0.07 * k), 0.38 + 0.01 * k + (0.51 - 0.05 * k) * t, 8 - 0.6 * k, light)
    draw_line(canvas, 0.775 - neck, 0.30 + 0.46 * t, 7)
    draw_line(canvas, 0.800 + neck, 0.37 + 0.52 * t, 7)
    for y, radius, arc in ((0.31, 0.05, (0.2, 3.6)), (0.345, 0.05, (0.0, 3.14)), (0.80, 0.10, (0.3, 3.0))):
        a = np.linspace(*arc, 40)
        draw_line(canvas, 0.785 + radius * np.cos(a), y + 0.3 * radius * np.sin(a), 8)
    for x, y, lean in ((0.09, 0.43, -0.16), (0.62, 1.00, -0.24)):
        for k in range(5):
            draw_line(canvas, x + 0.22 * t, y + 0.016 * k + lean * 0.22 * t, 3.5)
        for _ in range(7):
            u, k = rng.uniform(0.05, 0.95), int(rng.integers(0, 5))
            spot = np.array([x + 0.22 * u, y + 0.016 * k + lean * 0.22 * u])
            draw_line(canvas, spot[0] + np.array([-0.006, 0.006]), spot[1] + np.array([0.002, -0.002]), 12)
            draw_line(canvas, spot[0] + np.array([0.008, 0.009]), spot[1] + np.array([0.0, -0.045]), 5)
