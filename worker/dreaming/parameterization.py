"""Parameterizations of a picture: its pixels, or a spectrum, in which noise becomes shapes instead of finer noise.

Decorrelated Fourier space: C. Olah, A. Mordvintsev and L. Schubert, “Feature Visualization” (2017), and lucid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import NDArray

from worker.backend import Tensor

#: The square root of the covariance of colours in ImageNet, its columns from grey to red-green (lucid's values).
COLOR_COVARIANCE_SQRT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)

#: Standard deviation of the initial coefficients, and the divisor of the colours (lucid's values).
INITIAL_STDDEV, SPECTRUM_DIVISOR = 0.01, 4.0


@dataclass(frozen=True)
class Parameterization:
    """The parameters that gradient ascent optimizes, and their conversion from and to pictures."""

    #: From pictures (batch, height, width, 3) and one seed for each to the initial parameters,
    #: (batch, height, width, channels) float32.
    from_image: Callable[[Tensor, Sequence[int]], Tensor]
    #: From parameters to pictures (batch, height, width, 3) in [-1, 1].
    to_image: Callable[[Tensor], Tensor]
    #: Number of channels of the parameters.
    channels: int


def draw_coefficients(pictures: Tensor, seeds: Sequence[int]) -> NDArray[np.float32]:
    """Draw random coefficients for one picture per seed, in the size of `pictures`.

    Returns (batch, height, width, 6) float32: the real, then the imaginary parts of three decorrelated colours at each
    frequency.
    """
    shape = (*pictures.shape[1:3], 6)
    return np.stack([np.random.default_rng(seed).normal(0, INITIAL_STDDEV, shape).astype(np.float32) for seed in seeds])


def decode_coefficients(coefficients: Tensor) -> Tensor:
    """Decode coefficients (batch, height, width, 6) into pictures (batch, height, width, 3) in (-1, 1)."""
    height, width = ops.shape(coefficients)[1:3]
    waves = ops.transpose(coefficients * _compute_frequency_weights(height, width)[..., None], (0, 3, 1, 2))
    colors, _ = ops.ifft2((waves[:, :3], waves[:, 3:]))
    colors = ops.transpose(colors, (0, 2, 3, 1)) / SPECTRUM_DIVISOR
    mixed = ops.matmul(colors, (COLOR_COVARIANCE_SQRT / np.linalg.norm(COLOR_COVARIANCE_SQRT, axis=0).max()).T)
    return ops.tanh(mixed / 2)  # the logistic curve, on [-1, 1]


def _compute_frequency_weights(height: Tensor, width: Tensor) -> Tensor:
    """Return the weights of the frequencies, (height, width), by 1 ÷ frequency as in photographs.

    height, width: may be tensors of the graph.
    """
    down, right = _compute_frequencies(height), _compute_frequencies(width)
    sides = ops.cast(height, "float32"), ops.cast(width, "float32")
    radius = ops.sqrt(ops.square(down)[:, None] + ops.square(right)[None])
    return ops.sqrt(sides[0] * sides[1]) / ops.maximum(radius, 1 / ops.maximum(*sides))


def _compute_frequencies(side: Tensor) -> Tensor:
    """Return the frequencies of a discrete Fourier transform in cycles per pixel, as numpy.fft.fftfreq does."""
    steps = ops.arange(side)  # of an uncast side: JAX would treat a cast one as unknown
    return ops.cast(ops.where(steps < (side + 1) // 2, steps, steps - side), "float32") / ops.cast(side, "float32")


#: `start` of a recipe → parameterization.
PARAMETERIZATIONS = {
    "photo": Parameterization(from_image=lambda pictures, _: pictures, to_image=lambda pixels: pixels, channels=3),
    "noise": Parameterization(from_image=draw_coefficients, to_image=decode_coefficients, channels=6),
}
