"""Stones of a mosaic: their colours, their shapes, and setting one."""

import numpy as np

from tools.house_artworks.canvas import BRISTLE_SHEET_SHAPE, PaintCanvas
from tools.house_artworks.noise import Array, hex_to_rgb, mix

GOLD = hex_to_rgb("5a3a10", "94661a", "c8972c", "e8bf4a", "f8e08a", "fff6cf")
BLACK, IVORY, SILVER, UMBER = hex_to_rgb("15110f", "f3ead0", "b9b7ab", "3a2412")
JEWELS = hex_to_rgb("b3261e", "0f7f83", "27408f", "6b2d73", "2f7a3b", "d9622b", "e2a9a0")


def set_stone(canvas: PaintCanvas, corners: Array, tint: Array, height: float = 5.0) -> None:
    """Set one stone, bevelled and brushed: a convex polygon (n, 2) in pixels, clockwise on the screen."""
    left, top = np.floor(corners.min(0)).astype(int) - 1
    right, low = np.ceil(corners.max(0)).astype(int) + 2
    left, top, right, low = max(left, 0), max(top, 0), min(right, canvas.width), min(low, canvas.height)
    if right <= left or low <= top:
        return
    cut = (slice(top, low), slice(left, right))
    x, y = canvas.x[cut], canvas.y[cut]
    depth = np.full(x.shape, np.inf, np.float32)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        long = np.hypot(bx - ax, by - ay) + 1e-6
        depth = np.minimum(depth, ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) / long)
    cover = np.clip(depth + 0.5, 0, 1)
    lines, across = canvas.rng.integers(BRISTLE_SHEET_SHAPE[0]), canvas.rng.integers(BRISTLE_SHEET_SHAPE[1])
    mark = canvas.bristle_pattern[
        (y.astype(int) + lines) % BRISTLE_SHEET_SHAPE[0], (x.astype(int) + across) % BRISTLE_SHEET_SHAPE[1]
    ]
    fresh = np.clip(tint * (1 + canvas.rng.normal(0, 0.07)), 0, 1) * (0.90 + 0.2 * mark)[..., None]
    canvas.color[cut] = mix(canvas.color[cut], fresh, cover)
    canvas.thickness[cut] += cover * (height * np.clip(depth / 3, 0, 1) + 0.5 * mark - canvas.thickness[cut])


def compute_rectangle(
    center: Array, along: Array, half_size: tuple[float, float], rng: np.random.Generator, jitter: float = 0.06
) -> Array:
    """The corners of a slightly uneven rectangle around a point; `along` is its unit direction."""
    across = np.array([-along[1], along[0]])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) + rng.normal(0, jitter, (4, 2))
    corners: Array = center + signs[:, :1] * half_size[0] * along + signs[:, 1:] * half_size[1] * across
    return corners


def compute_polygon(center: Array, radius: float, count: int) -> Array:
    """The corners of a regular polygon, clockwise on the screen."""
    a = np.arange(count) * 2 * np.pi / count
    return center + radius * np.stack([np.cos(a), np.sin(a)], -1)
