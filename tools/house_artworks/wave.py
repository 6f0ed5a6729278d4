"""A breaking wave as a woodcut: indigo, two blues, paper and foam white, engraved in flowing bundles of lines."""

import numpy as np
from PIL import Image

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.foam import paint_foam, paint_spray
from tools.house_artworks.noise import Array
from tools.house_artworks.woodcut import (
    BLUE,
    DUSK,
    FOAM,
    INDIGO,
    LINE_INKS,
    PALE,
    PAPER,
    SUN,
    engrave_line,
    fill_area,
    interpolate_curve,
    render_print,
)

WIDTH, HEIGHT, SEED = 768, 544, 4
# Outlines of the breaker from foot to tip, as shares of the width.
BREAKER_BACK = (
    (1.12, 0.66), (1.03, 0.4), (0.93, 0.21), (0.79, 0.09),
    (0.61, 0.055), (0.46, 0.1), (0.375, 0.2), (0.365, 0.29),
)  # fmt: skip
BREAKER_FACE = (
    (0.06, 0.6), (0.38, 0.6), (0.59, 0.53), (0.69, 0.42),
    (0.7, 0.3), (0.62, 0.205), (0.5, 0.205), (0.425, 0.29),
)  # fmt: skip


def paint() -> Image.Image:
    """Paint the picture and return it: sRGB, 768 x 544."""
    canvas = PaintCanvas(WIDTH, HEIGHT, PAPER, SEED)
    paint_sky(canvas)
    paint_swell(canvas, 0.455, 0.020, 5.0, 0.9, 9, BLUE)
    paint_breaker(canvas)
    for base, amplitude, frequency, phase, count, ink in (
        (0.560, 0.035, 6.2, 3.9, 10, PALE),
        (0.625, 0.050, 5.0, 0.6, 13, BLUE),
        (0.69, 0.04, 7.0, 2.2, 9, BLUE),
    ):
        paint_swell(canvas, base, amplitude, frequency, phase, count, ink)
    paint_spray(canvas, interpolate_curve(BREAKER_BACK, 60)[34:])
    return render_print(canvas)


def paint_sky(canvas: PaintCanvas) -> None:
    """Paint an evening sky: a red sun, and bands of cloud cut as long lines that taper at their ends."""
    rng, size = canvas.rng, canvas.width
    for k in range(21):  # the dark upper edge, in a print a gradient wiped by hand: lines that get finer
        t = np.linspace(-0.02, 1.02, 30)
        y = 0.006 * k + 0.00022 * k * k + 0.0035 * np.sin(6 * t + 0.15 * k) + 0.002 * np.sin(23 * t + k)
        engrave_line(canvas, np.stack([t, y], -1), 13 - 0.56 * k, BLUE, 0.0)
    for k in range(34):  # the pale air below it, cut as fine, wavering lines
        t = np.linspace(-0.02, 1.02, 30)
        y = 0.225 + 0.0072 * k + 0.003 * np.sin(5 * t + 0.2 * k) + 0.0016 * np.sin(31 * t + 2 * k)
        engrave_line(canvas, np.stack([t, y], -1), 2.6 + 0.8 * np.sin(k), DUSK if k % 3 else FOAM, 0.0)
    fill_area(canvas, 0.088 * size - np.hypot(canvas.x - 0.175 * size, canvas.y - 0.265 * size), SUN)
    for k in range(12):  # the sun's own grain, and mist across its foot
        t = np.linspace(0.06, 0.30, 20)
        engrave_line(
            canvas, np.stack([t, 0.285 + 0.0085 * k + 0.002 * np.sin(30 * t + k)], -1), 1.5 + 0.75 * k, PAPER, 0.5
        )
    for x, top, half_width, count in (
        (0.10, 0.155, 0.16, 7),
        (0.30, 0.20, 0.12, 5),
        (0.26, 0.385, 0.20, 6),
        (0.95, 0.10, 0.12, 6),
    ):
        for k in range(count):
            line_half_width = half_width * rng.uniform(0.5, 1.0) * np.sin(np.pi * (k + 0.7) / (count + 0.4))
            t = np.linspace(-1, 1, 20)
            path = np.stack(
                [x + rng.normal(0, 0.02) + line_half_width * t, top + 0.011 * k + 0.004 * np.sin(4 * t + k)], -1
            )
            engrave_line(canvas, path, 9, FOAM if k < count - 1 else PALE, 1.0)
            engrave_line(canvas, path + np.array([0.01, 0.006]), 3.2, INDIGO if k == count - 1 else BLUE, 1.0)


def paint_swell(
    canvas: PaintCanvas, base: float, amplitude: float, frequency: float, phase: float, line_count: int, ink: Array
) -> None:
    """Paint one swell across the whole sheet: a back edged with foam, engraved with lines that follow it.

    base, amplitude: of the crest, as shares of the width. frequency: radians per width. ink: (3,).
    """
    size, t = canvas.width, np.linspace(-0.03, 1.03, 90)

    def crest_height(x: Array) -> Array:
        bend = np.sin(frequency * x + phase) + 0.35 * np.sin(2.3 * frequency * x + 2 * phase)
        height: Array = base - amplitude * bend
        return height

    depth = canvas.y - crest_height(canvas.x / size) * size
    fill_area(canvas, depth, INDIGO)
    fill_area(canvas, depth - 5, FOAM)
    fill_area(canvas, depth - 13 - 5 * np.sin(canvas.x / 19 + phase) * np.sin(canvas.x / 47), ink)
    for k in range(line_count):
        offset_y = 0.014 + 0.0125 * k
        path = np.stack(
            [t, crest_height(t + 0.012 * k) + offset_y * (1 + 0.35 * np.sin(frequency * t + phase + 0.5))], -1
        )
        for start in np.arange(0, 80, 22):
            a = start + int(canvas.rng.integers(0, 12))
            segment = path[a : a + int(canvas.rng.integers(18, 40))]
            if len(segment) > 4:
                engrave_line(canvas, segment, canvas.rng.uniform(5, 13), LINE_INKS[(k + start // 22) % 6], 0.95)
        engrave_line(canvas, path + np.array([0, 0.006]), 4.0, INDIGO, 0.4)


def paint_breaker(canvas: PaintCanvas) -> None:
    """Paint the wave itself: bundles of lines between its back and its face, then foam ahead of it."""
    rng, count = canvas.rng, 64
    back, face = interpolate_curve(BREAKER_BACK, 140), interpolate_curve(BREAKER_FACE, 140)
    for k in range(count):  # one solid body
        engrave_line(canvas, back + (face - back) * (k / (count - 1)), 44, BLUE, 0.0)
    for k in range(count):
        share = (k + 0.5) / count
        bent_share = share + 0.03 * np.sin(np.linspace(0, 9, 140) + 9 * share)[:, None]
        path = back + (face - back) * bent_share
        ink = LINE_INKS[(0, 3, 0, 1, 5, 0, 2, 4, 3, 1)[k % 10]]
        first, last = int(rng.integers(0, 14)), int(rng.integers(112, 140))
        engrave_line(canvas, path[first:last], rng.uniform(7, 14) * (1.25 - 0.5 * share), ink, 0.7)
    engrave_line(canvas, face, 9, INDIGO, 0.2)
    engrave_line(canvas, back, 9, INDIGO, 0.0)
    rows = (
        (0.84, 106, 0.060),
        (0.64, 92, 0.070),
        (0.46, 78, 0.074),
        (0.30, 66, 0.070),
        (0.16, 58, 0.062),
        (0.04, 54, 0.050),
    )
    for share, first, size_share in rows:  # like feathers: every row and finger covers the root of the previous one
        path = back + (face - back) * share
        for k in range(138, first, -5):
            direction = path[k] - path[k - 1]
            heading = np.arctan2(direction[1], direction[0]) + rng.uniform(-0.7, 0.1) * (share > 0.1)
            paint_foam(canvas, path[k - 4] + rng.normal(0, 0.004, 2), heading, size_share * rng.uniform(0.8, 1.2))
