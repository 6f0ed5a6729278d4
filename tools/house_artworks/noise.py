"""Smooth random fields over a canvas, and the small functions that shape them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.floating[Any]]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """A smooth ramp from 0 (value <= low) to 1 (value >= high)."""
    t: Array = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Array, b: Array, amount: Array | float) -> Array:
    """Colours a (amount 0) to b (amount 1); amount lacks the channel axis."""
    return a + (b - a) * np.asarray(amount, np.float32)[..., None]


def hex_to_rgb(*codes: str) -> Array:
    """Colours (n, 3) in 0..1 from codes like "1f2a6b"."""
    return np.array([list(bytes.fromhex(code)) for code in codes], np.float32) / 255


def sample_gradient(colors: Array, value: Array | float) -> Array:
    """The colour at `value` (0..1, clipped) of a gradient through evenly spaced colours (n, 3)."""
    at = np.clip(np.asarray(value, np.float32), 0, 1) * (len(colors) - 1)
    low = np.minimum(at.astype(np.int32), len(colors) - 2)
    return mix(colors[low], colors[low + 1], at - low)


def random_field(
    rng: np.random.Generator, shape: tuple[int, int], feature_size: float | tuple[float, float], octaves: int = 1
) -> Array:
    """A random field (rows, columns), mean 0 and deviation 1, with features `cell` pixels (or rows, columns) wide."""
    tall, wide = feature_size if isinstance(feature_size, tuple) else (feature_size, feature_size)
    total, weight = np.zeros(shape, np.float32), 1.0
    for _ in range(octaves):
        size = (int(shape[1] / wide) + 3, int(shape[0] / tall) + 3)
        grid = Image.fromarray(rng.standard_normal(size[::-1]).astype(np.float32))
        box = (1.0, 1.0, 1 + shape[1] / wide, 1 + shape[0] / tall)
        total += weight * np.asarray(grid.resize(shape[::-1], Image.Resampling.BICUBIC, box=box))
        tall, wide, weight = max(tall / 2, 1.0), max(wide / 2, 1.0), weight * 0.55
    even: Array = (total - total.mean()) / total.std()
    return even


def gaussian_blur(field: Array, sigma: float) -> Array:
    """The field (rows, columns) under a Gaussian of sigma pixels, with edges mirrored."""
    pad = int(3 * sigma) + 1
    wide = np.pad(field, pad, mode="reflect")
    down = np.exp(-2 * (np.pi * sigma * np.fft.fftfreq(wide.shape[0])) ** 2)[:, None]
    across = np.exp(-2 * (np.pi * sigma * np.fft.rfftfreq(wide.shape[1])) ** 2)
    soft = np.fft.irfft2(np.fft.rfft2(wide) * (down * across).astype(np.float32), wide.shape)
    return np.ascontiguousarray(soft[pad:-pad, pad:-pad], np.float32)
