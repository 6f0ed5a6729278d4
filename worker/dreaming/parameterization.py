"""What a dream is painted in: its pixels, or a spectrum, in which noise becomes shapes and not finer noise.

Decorrelated Fourier space: C. Olah, A. Mordvintsev and L. Schubert, “Feature Visualization” (2017), and lucid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import NDArray

from worker.backend import Tensor

#: The square root of the covariance of colours in ImageNet, its columns from grey to red-green (lucid's figures).
COLOR_COVARIANCE_SQRT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)

#: Standard deviation of the coefficients at the start, and what a spectrum is divided by (lucid's figures).
INITIAL_STDDEV, SPECTRUM_DIVISOR = 0.01, 4.0


@dataclass(frozen=True)
class Parameterization:
    """Parameters in which an ascent climbs."""

    #: From pictures (batch, height, width, 3) and one seed for each to the parameters to begin with,
    #: (batch, height, width, channels) float32.
    from_image: Callable[[Tensor, Sequence[int]], Tensor]
    #: From parameters to pictures in [-1, 1].
    to_image: Callable[[Tensor], Tensor]
    #: Channels of the parameters.
    channels: int


def draw_coefficients(pictures: Tensor, seeds: Sequence[int]) -> NDArray[np.float32]:
    """Draw the coefficients of one picture for each seed, of the size of the pictures given.

    Returns (batch, height, width, 6): real and imaginary part of three decorrelated colours at each frequency.
    """
    shape = (*pictures.shape[1:3], 6)
    return np.stack([np.random.default_rng(seed).normal(0, INITIAL_STDDEV, shape).astype(np.float32) for seed in seeds])


def decode_coefficients(coefficients: Tensor) -> Tensor:
    """Turn coefficients (batch, height, width, 6) into pictures (batch, height, width, 3) in (-1, 1)."""
    height, width = ops.shape(coefficients)[1:3]
    waves = ops.transpose(coefficients * _compute_frequency_weights(height, width)[..., None], (0, 3, 1, 2))
    colours, _ = ops.ifft2((waves[:, :3], waves[:, 3:]))
    colours = ops.transpose(colours, (0, 2, 3, 1)) / SPECTRUM_DIVISOR
    mixed = ops.matmul(colours, (COLOR_COVARIANCE_SQRT / np.linalg.norm(COLOR_COVARIANCE_SQRT, axis=0).max()).T)
    return ops.tanh(mixed / 2)  # the logistic curve, on [-1, 1]


def _compute_frequency_weights(height: Tensor, width: Tensor) -> Tensor:
    """Weigh frequencies as photographs do, by 1 ÷ frequency; the sizes may be known to the graph only."""
    down, right = _compute_frequencies(height), _compute_frequencies(width)
    sides = ops.cast(height, "float32"), ops.cast(width, "float32")
    radius = ops.sqrt(ops.square(down)[:, None] + ops.square(right)[None])
    return ops.sqrt(sides[0] * sides[1]) / ops.maximum(radius, 1 / ops.maximum(*sides))


def _compute_frequencies(side: Tensor) -> Tensor:
    """Return the frequencies of a discrete Fourier transform in cycles per pixel, as numpy.fft.fftfreq does."""
    steps = ops.arange(side)  # of a whole number: JAX would take a cast one for unknown
    return ops.cast(ops.where(steps < (side + 1) // 2, steps, steps - side), "float32") / ops.cast(side, "float32")


#: By what a recipe starts from.
PARAMETERIZATIONS = {
    "photo": Parameterization(from_image=lambda pictures, _: pictures, to_image=lambda pixels: pixels, channels=3),
    "noise": Parameterization(from_image=draw_coefficients, to_image=decode_coefficients, channels=6),
}
