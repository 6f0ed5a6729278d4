"""Stones of a mosaic: their colours, their shapes, and setting one."""

import numpy as np

from tools.house_artworks.canvas import BRISTLES, Canvas
from tools.house_artworks.noise import Array, mix, rgb

GOLD = rgb("5a3a10", "94661a", "c8972c", "e8bf4a", "f8e08a", "fff6cf")
BLACK, IVORY, SILVER, UMBER = rgb("15110f", "f3ead0", "b9b7ab", "3a2412")
JEWELS = rgb("b3261e", "0f7f83", "27408f", "6b2d73", "2f7a3b", "d9622b", "e2a9a0")


def piece(canvas: Canvas, corners: Array, tint: Array, high: float = 5.0) -> None:
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
    lines, across = canvas.rng.integers(BRISTLES[0]), canvas.rng.integers(BRISTLES[1])
    mark = canvas.hairs[(y.astype(int) + lines) % BRISTLES[0], (x.astype(int) + across) % BRISTLES[1]]
    fresh = np.clip(tint * (1 + canvas.rng.normal(0, 0.07)), 0, 1) * (0.90 + 0.2 * mark)[..., None]
    canvas.colour[cut] = mix(canvas.colour[cut], fresh, cover)
    canvas.thickness[cut] += cover * (high * np.clip(depth / 3, 0, 1) + 0.5 * mark - canvas.thickness[cut])


def box(middle: Array, along: Array, half: tuple[float, float], rng: np.random.Generator, shake: float = 0.06) -> Array:
    """The corners of a slightly uneven rectangle around a point; `along` is its unit direction."""
    across = np.array([-along[1], along[0]])
    signs = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) + rng.normal(0, shake, (4, 2))
    corners: Array = middle + signs[:, :1] * half[0] * along + signs[:, 1:] * half[1] * across
    return corners


def ngon(middle: Array, reach: float, count: int) -> Array:
    """The corners of a regular polygon, clockwise on the screen."""
    a = np.arange(count) * 2 * np.pi / count
    return middle + reach * np.stack([np.cos(a), np.sin(a)], -1)
