"""The stones of a mosaic: their colours and shapes, and how one is painted."""

import numpy as np

from tools.house_artworks.canvas import BRISTLE_SHEET_SHAPE, PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix

GOLD = hex_to_rgb("5a3a10", "94661a", "c8972c", "e8bf4a", "f8e08a", "fff6cf")
BLACK, IVORY, SILVER, UMBER = hex_to_rgb("15110f", "f3ead0", "b9b7ab", "3a2412")
JEWELS = hex_to_rgb("b3261e", "0f7f83", "27408f", "6b2d73", "2f7a3b", "d9622b", "e2a9a0")


def set_stone(canvas: PaintCanvas, corners: Array, tint: Array, height: float = 5.0) -> None:
    """Paint one stone, bevelled and brushed.

    corners: of a convex polygon (n, 2) in pixels, clockwise on the screen. height: thickness of its paint.
    """
    left, top = np.floor(corners.min(0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(0)).astype(int) + 2
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, canvas.width), min(bottom, canvas.height)
    if right <= left or bottom <= top:
        return
    region = (slice(top, bottom), slice(left, right))
    x, y = canvas.x[region], canvas.y[region]
    depth = np.full(x.shape, np.inf, np.float32)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side_length = np.hypot(bx - ax, by - ay) + 1e-6
        depth = np.minimum(depth, ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / side_length)
    coverage = np.clip(depth + 0.5, 0, 1)
    row_offset, column_offset = canvas.rng.integers(BRISTLE_SHEET_SHAPE[0]), canvas.rng.integers(BRISTLE_SHEET_SHAPE[1])
    bristles = canvas.bristle_pattern[
        (y.astype(int) + row_offset) % BRISTLE_SHEET_SHAPE[0], (x.astype(int) + column_offset) % BRISTLE_SHEET_SHAPE[1]
    ]
    color = np.clip(tint * (1 + canvas.rng.normal(0, 0.07)), 0, 1) * (0.90 + 0.2 * bristles)[..., None]
    canvas.color[region] = mix(canvas.color[region], color, coverage)
    canvas.thickness[region] += coverage * (
        height * np.clip(depth / 3, 0, 1) + 0.5 * bristles - canvas.thickness[region]
    )


def compute_rectangle(
    center: Array, along: Array, half_size: tuple[float, float], rng: np.random.Generator, jitter: float = 0.06
) -> Array:
    """Return the corners (4, 2) of a slightly uneven rectangle around a point; `along` is its unit direction."""
    across = np.array([-along[1], along[0]])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) + rng.normal(0, jitter, (4, 2))
    corners: Array = center + signs[:, :1] * half_size[0] * along + signs[:, 1:] * half_size[1] * across
    return corners


def compute_polygon(center: Array, radius: float, count: int) -> Array:
    """Return the corners (count, 2) of a regular polygon, clockwise on the screen."""
    a = np.arange(count) * 2 * np.pi / count
    return center + radius * np.stack([np.cos(a), np.sin(a)], -1)
