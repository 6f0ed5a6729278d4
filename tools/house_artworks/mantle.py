"""The mantle in the gold mosaic: columns of ornamented rectangles below a hem of triangles."""

import numpy as np

from tools.house_artworks.canvas import PaintCanvas
from tools.house_artworks.noise import Array
from tools.house_artworks.stones import (
    BLACK,
    GOLD,
    IVORY,
    JEWELS,
    SILVER,
    UMBER,
    compute_polygon,
    compute_rectangle,
    set_stone,
)


def paint_mantle(canvas: PaintCanvas) -> None:
    """Paint a robe over the lower part: columns of rectangles, striped, nested or plain, that lean with its folds."""
    rng, size = canvas.rng, canvas.width
    for x in np.arange(-0.02, 1.05, 0.054):
        y = float(hem_height(np.array(x)))
        while y < 1.33:
            height, half_width = rng.choice([0.026, 0.042, 0.062, 0.095]) * rng.uniform(0.8, 1.2), 0.0247
            lean = 0.16 * np.sin(5.2 * x + 1.9)
            center = np.array([x + lean * (y - 1.0), y + height / 2]) * size
            down = np.array([lean, 1.0]) / np.hypot(lean, 1)
            half_size = (0.47 * height * size, half_width * size)
            paint_rectangle(canvas, center, down, half_size)
            y += height
    x = np.linspace(-0.02, 1.02, 120)
    path = np.stack([x, hem_height(x)], -1) * size
    canvas.stroke(path, 42, BLACK, dryness=0, paint_thickness=0.4)
    for k, (start, end) in enumerate(zip(path[:-1:2], path[1::2], strict=True)):  # its hem: triangles, gold and ivory
        along = (end - start) / np.hypot(*(end - start))
        across = np.array([-along[1], along[0]])
        tint = (GOLD[4], IVORY, GOLD[3], JEWELS[0])[k % 4]
        set_stone(
            canvas, start + np.array([-11 * along + 13 * across, -13 * across, 11 * along + 13 * across]), tint, 8
        )


def hem_height(x: Array) -> Array:
    """Return the y at which the mantle begins at x; both are shares of the width."""
    edge: Array = 0.875 + 0.11 * np.sin(5.2 * x + 0.4) + 0.035 * np.sin(13 * x)
    return edge


def paint_rectangle(canvas: PaintCanvas, center: Array, down: Array, half_size: tuple[float, float]) -> None:
    """Paint one rectangle of the robe with its ornament. down: its unit direction; half_size: in pixels."""
    rng = canvas.rng
    if rng.random() < 0.42:
        base, ink = BLACK, (IVORY, GOLD[4], SILVER, GOLD[3])[rng.integers(4)]
    else:
        jewel = JEWELS[rng.integers(len(JEWELS))]
        base = (IVORY, SILVER, GOLD[3], GOLD[2], GOLD[4], jewel)[rng.integers(6)]
        ink = (BLACK, UMBER, BLACK, JEWELS[0])[rng.integers(4)]
    set_stone(canvas, compute_rectangle(center, down, half_size, rng, 0.03), base, 6)
    across = np.array([-down[1], down[0]])
    ornament = rng.integers(6)
    if ornament == 0:  # stripes
        for t in np.arange(-half_size[0] + 7, half_size[0] - 4, 11):
            set_stone(canvas, compute_rectangle(center + down * t, down, (2.6, 0.8 * half_size[1]), rng, 0.1), ink, 8)
    elif ornament == 1:  # nested
        for share, tint in ((0.74, ink), (0.48, base), (0.24, ink)):
            set_stone(
                canvas,
                compute_rectangle(center, down, (half_size[0] * share, half_size[1] * share), rng, 0.04),
                tint,
                8,
            )
    elif ornament == 2:  # a chequer
        for i, t in enumerate(np.arange(-half_size[0] + 8, half_size[0] - 5, 13)):
            for j, s in enumerate((-0.55, 0.0, 0.55)):
                if (i + j) % 2:
                    set_stone(
                        canvas,
                        compute_rectangle(
                            center + down * t + across * s * half_size[1], down, (6, 0.26 * half_size[1]), rng
                        ),
                        ink,
                        8,
                    )
    elif ornament == 3:  # discs
        for t in np.arange(-half_size[0] + 13, half_size[0] - 9, 24):
            for radius, tint in ((10.5, ink), (6.5, base), (3.2, JEWELS[rng.integers(len(JEWELS))])):
                set_stone(canvas, compute_polygon(center + down * t, radius, 14), tint, 9)
    elif ornament == 4:  # a small spiral
        a = np.linspace(0, 5 * np.pi, 60)
        curl = np.stack([np.cos(a), np.sin(a)], -1) * (a / a[-1])[:, None] * 0.72 * min(half_size)
        canvas.stroke(center + curl, 4.5, ink, dryness=0.05, paint_thickness=2)
