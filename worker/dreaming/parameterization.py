"""Parameterizations: what gradient ascent changes, and how a picture is rendered from it.

The pixels themselves, or numbers whose changes are spread over larger areas: what an ascent changes in a network's
favour is then shapes and fields of colour rather than fine noise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from keras import ops

from worker.backend import Tensor, resize

#: What an optimizer changes: one or more tensors, (batch, height, width, channels) float32 each.
Parameters = tuple[Tensor, ...]

#: The square root of the covariance of colours in ImageNet, its columns from grey to red-green (lucid's values),
#: divided by the norm of its largest column: lucid's colour matrix.
COLOR_COVARIANCE_SQRT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)
COLOR_MATRIX = COLOR_COVARIANCE_SQRT / np.linalg.norm(COLOR_COVARIANCE_SQRT, axis=0).max()

#: By how much the two colours of a photo's change exceed that matrix: painters' colours are farther from a photograph's
#: than photographs' are from each other, and a step of the optimizer has the same length in lightness and colours.
CHROMA_GAIN = 2.0
CHANGE_MATRIX = COLOR_MATRIX * np.array([1, CHROMA_GAIN, CHROMA_GAIN], np.float32)

#: Standard deviation of the initial Fourier coefficients, and the divisor of the colours (lucid's values).
INITIAL_STDDEV, SPECTRUM_DIVISOR = 0.01, 4.0

#: Root mean square of a picture of fixed amplitudes, before the logistic curve.
PHASE_CONTRAST = 0.7

#: Weight of each level of the pyramid, from the coarsest, 1/64 of the canvas, to the canvas itself (Fort and Whitaker,
#: “Direct Ascent Synthesis”, arXiv 2502.07753, where they are equal; fine levels weigh less so that they add no grain).
LEVEL_WEIGHTS = (1.0, 1.0, 1.0, 0.9, 0.7, 0.45, 0.25)

#: Pixels: the shortest side of a level.
MIN_LEVEL_SIDE = 4

#: Photos are drawn in by this factor, so that black and white stay within reach of the inverse of tanh.
PHOTO_RANGE = 0.98


@dataclass(frozen=True)
class Parameterization:
    """The parameters that gradient ascent optimizes, and the pictures that they stand for."""

    #: From pictures to start from, their photos, (batch, height, width, 3) in [-1, 1] each, and one seed for each, to
    #: the initial parameters.
    initialize: Callable[[Tensor, Tensor, Sequence[int]], Parameters]
    #: From parameters, photos (batch, height, width, 3) in [-1, 1] of any size, and their mask, (1, 1, 1, 1) or
    #: (1 or batch, height, width, 1) in [0, 1], to pictures of the photos' size in [-1, 1].
    render: Callable[[Parameters, Tensor, Tensor], Tensor]
    #: Number of channels of each of the parameters.
    channels: tuple[int, ...]
    #: Whether the parameters are the pictures' pixels: their gradient can be normalised scale by scale, they stay
    #: within [-1, 1], and they are rendered at their own size only.
    is_pixels: bool = False

    def find_start(self, pictures: Tensor) -> Tensor:
        """Return the pictures to start from for an ascent that begins with given pictures, (…) in [-1, 1]."""
        return pictures if self.is_pixels else ops.clip(pictures / PHOTO_RANGE, -1, 1)


def _make_pixels() -> Parameterization:
    return Parameterization(
        initialize=lambda pictures, *_: (pictures,),
        render=lambda parameters, *_: parameters[0],
        channels=(3,),
        is_pixels=True,
    )


def _make_changes(
    initialize: Callable[[Tensor, Tensor, Sequence[int]], Parameters],
    decode: Callable[[Parameters], Tensor],
    channels: tuple[int, ...],
    *,
    from_noise: bool,
) -> Parameterization:
    """Return a parameterization of the change of a photo, or of a grey picture.

    decode: from the parameters to the change in decorrelated colours, (batch, height, width, 3). It is added to the
    inverse of tanh of the photo, so that no picture exceeds its range.
    """

    def render(parameters: Parameters, photos: Tensor, mask: Tensor) -> Tensor:
        height, width = ops.shape(photos)[1:3]
        colors = COLOR_MATRIX if from_noise else CHANGE_MATRIX
        change = _resize_change(ops.matmul(decode(parameters), colors.T), height, width)
        return ops.tanh(change if from_noise else ops.arctanh(PHOTO_RANGE * photos) + mask * change)

    return Parameterization(initialize, render, channels)


def _resize_change(change: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resize a change, (batch, height, width, 3), to the size at which the network sees it.

    At half the size and less it is halved first: bilinear resizing alone would skip pixels, which then get no gradient,
    and the others would show as a grid.
    """
    return ops.cond(
        2 * height <= ops.shape(change)[1],
        lambda: resize(ops.average_pool(change, 2, 2), height, width),
        lambda: resize(change, height, width),
    )


def split_into_levels(pictures: Tensor, photos: Tensor, _: Sequence[int]) -> Parameters:
    """Return the levels of a pyramid, coarsest first, whose sum is the change from photos to pictures.

    Each level takes what the coarser ones leave, so that the coarsest possible makes a change; without a change all are
    0.
    """
    change = np.arctanh(PHOTO_RANGE * np.asarray(pictures)) - np.arctanh(PHOTO_RANGE * np.asarray(photos))
    rest = change @ np.linalg.inv(CHANGE_MATRIX.T).astype(np.float32)
    _, height, width, _ = rest.shape
    exponents = range(len(LEVEL_WEIGHTS) - 1, -1, -1)
    sizes = [
        (max(MIN_LEVEL_SIDE, height >> exponent), max(MIN_LEVEL_SIDE, width >> exponent)) for exponent in exponents
    ]
    total = np.zeros_like(rest[:, :1, :1])
    levels = []
    for weight, size in zip(LEVEL_WEIGHTS, sizes, strict=True):
        total = np.asarray(resize(total, *size))
        level = np.asarray(resize(rest, *size)) - total
        levels.append(level / np.float32(weight))
        total = total + level
    return tuple(levels)


def sum_levels(levels: Parameters) -> Tensor:
    """Return the weighted sum of the levels of a pyramid, at the size of the finest: (batch, height, width, 3)."""
    total = LEVEL_WEIGHTS[0] * levels[0]
    for weight, level in zip(LEVEL_WEIGHTS[1:], levels[1:], strict=True):
        total = resize(total, *ops.shape(level)[1:3]) + weight * level
    return total


def draw_coefficients(pictures: Tensor, _: Tensor, seeds: Sequence[int]) -> Parameters:
    """Draw random coefficients for one picture per seed, in the size of `pictures`.

    Returns (batch, height, width, 6) float32: the real, then the imaginary parts of three decorrelated colours at each
    frequency.
    """
    shape = (*pictures.shape[1:3], 6)
    draws = [np.random.default_rng(seed).normal(0, INITIAL_STDDEV, shape).astype(np.float32) for seed in seeds]
    return (np.stack(draws),)


def decode_coefficients(parameters: Parameters) -> Tensor:
    """Decode Fourier coefficients (batch, height, width, 6) into decorrelated colours (batch, height, width, 3).

    C. Olah, A. Mordvintsev and L. Schubert, “Feature Visualization” (2017), and lucid.
    """
    (coefficients,) = parameters
    height, width = ops.shape(coefficients)[1:3]
    waves = coefficients * _compute_frequency_weights(height, width)[..., None]
    return _invert_spectrum(waves[..., :3], waves[..., 3:]) / (2 * SPECTRUM_DIVISOR)


def draw_phases(pictures: Tensor, _: Tensor, seeds: Sequence[int]) -> Parameters:
    """Draw a random phase for each frequency and decorrelated colour: (batch, height, width, 3) float32."""
    shape = (*pictures.shape[1:3], 3)
    return (np.stack([np.random.default_rng(seed).uniform(-np.pi, np.pi, shape).astype(np.float32) for seed in seeds]),)


def decode_phases(parameters: Parameters) -> Tensor:
    """Decode phases into decorrelated colours; the amplitudes stay 1 ÷ frequency, as in photographs.

    Fel et al., “Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization” (arXiv
    2306.06805): no frequency can grow at the expense of others, so that deep layers yield shapes, too.
    """
    (phases,) = parameters
    amplitudes = _compute_frequency_weights(*ops.shape(phases)[1:3])[..., None]
    colors = _invert_spectrum(amplitudes * ops.cos(phases), amplitudes * ops.sin(phases))
    return PHASE_CONTRAST * colors * ops.rsqrt(ops.mean(ops.square(colors), axis=(1, 2, 3), keepdims=True))


def _invert_spectrum(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return the real part of the inverse Fourier transform of (batch, height, width, channels) coefficients."""
    waves, _ = ops.ifft2((ops.transpose(real, (0, 3, 1, 2)), ops.transpose(imaginary, (0, 3, 1, 2))))
    return ops.transpose(waves, (0, 2, 3, 1))


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


_CODECS = {
    "pyramid": (split_into_levels, sum_levels, (3,) * len(LEVEL_WEIGHTS)),
    "fourier": (draw_coefficients, decode_coefficients, (6,)),
    "phase": (draw_phases, decode_phases, (3,)),
}

#: `parameterisation` and `start` of a recipe → parameterization.
PARAMETERIZATIONS: Mapping[tuple[str, Literal["photo", "noise"]], Parameterization] = {
    ("pixels", "photo"): _make_pixels(),
    **{
        (name, start): _make_changes(*codec, from_noise=start == "noise")
        for name, codec in _CODECS.items()
        for start in ("photo", "noise")
    },
}
