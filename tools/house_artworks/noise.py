"""Smooth random fields, and small functions on fields and colours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating[Any]]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """Return a smooth ramp from 0 (value <= low) to 1 (value >= high)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, amount: Array | float) -> Array:
    """Blend colours from a (amount 0) to b (amount 1); amount has no channel axis."""
    return a + (b - a) * np.asarray(amount, np.float32)[..., None]


def hex_to_rgb(*codes: str) -> Array:
    """Convert codes like "1f2a6b" to colours (n, 3) in 0..1."""
    return np.array([list(bytes.fromhex(code)) for code in codes], np.float32) / 255


def sample_gradient(colors: Array, value: Array | float) -> Array:
    """Return the colour at `value` (0..1, clipped) of a gradient through evenly spaced colours (n, 3)."""
    position = np.clip(np.asarray(value, np.float32), 0, 1) * (len(colors) - 1)
    low = np.minimum(position.astype(np.int32), len(colors) - 2)
    return mix(colors[low], colors[low + 1], position - low)


def random_field(
    rng: np.random.Generator, shape: tuple[int, int], feature_size: float | tuple[float, float], octaves: int = 1
) -> Array:
    """Return a random field (rows, columns) with mean 0 and standard deviation 1.

    feature_size: width of its features in pixels, or height and width. octaves: each adds features of half the size.
    """
    feature_height, feature_width = feature_size if isinstance(feature_size, tuple) else (feature_size, feature_size)
    total, weight = np.zeros(shape, np.float32), 1.0
    for _ in range(octaves):
        size = (int(shape[1] / feature_width) + 3, int(shape[0] / feature_height) + 3)
        grid = Image.fromarray(rng.standard_normal(size[::-1]).astype(np.float32))
        box = (1.0, 1.0, 1 + shape[1] / feature_width, 1 + shape[0] / feature_height)
        total += weight * np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC, box=box))
        feature_height, feature_width, weight = max(feature_height / 2, 1.0), max(feature_width / 2, 1.0), weight * 0.55
    normalized: Array = (total - total.mean()) / total.std()
    return normalized


def gaussian_blur(field: Array, sigma: float) -> Array:
    """Blur a field (rows, columns) by a Gaussian of sigma pixels; edges are mirrored."""
    pad = int(3 * sigma) + 1
    padded = np.pad(field, pad, mode="reflect")
    row_response = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(padded.shape[0])) ** 2)[:, None]
    column_response = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(padded.shape[1])) ** 2)
    blurred = np.fft.irfft2(np.fft.rfft2(padded) * (row_response * column_response).astype(np.float32), padded.shape)
    return np.ascontiguousarray(blurred[pad:-pad, pad:-pad], np.float32)
