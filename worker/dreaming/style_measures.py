"""Measures of how a picture is painted, whatever it shows: which features go together, its colours, and its grain.

A dream is drawn towards the values that an artist's works have (`worker.networks.style_statistics`).
"""

from itertools import pairwise

import numpy as np
from keras import ops

from worker.backend import Tensor

#: Distances between quantiles of colours are taken along these directions of the Lab space, (directions, 3): its axes,
#: and nine more that were drawn once.
PALETTE_DIRECTIONS = np.concatenate([np.eye(3), np.random.default_rng(0).standard_normal((9, 3))]).astype(np.float32)
PALETTE_DIRECTIONS /= np.linalg.norm(PALETTE_DIRECTIONS, axis=1, keepdims=True)

#: Number of quantiles of a palette along each direction.
PALETTE_QUANTILES = 24

#: Colours are averaged over squares of so many pixels: a palette is made of areas, not of grain.
PALETTE_SQUARE = 8

#: Number of octaves of frequencies that a grain has, from the finest.
GRAIN_BANDS = 5

#: sRGB to XYZ, and the white point D65 (IEC 61966-2-1, CIE 15).
XYZ_FROM_RGB = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]],
    np.float32,
) / np.array([[0.95047], [1.0], [1.08883]], np.float32)

#: L, a and b from the cube roots of X, Y and Z, divided by 100.
LAB_FROM_XYZ_ROOTS = np.array([[0, 1.16, 0], [5, -5, 0], [0, 2, -2]], np.float32)
LAB_OFFSET = np.array([-0.16, 0, 0], np.float32)

#: Keeps the logarithm of the power of an even picture finite.
_POWER_EPSILON = 1e-6


def gram_matrix(activations: Tensor) -> Tensor:
    """Return the correlations of channels: (batch, rows, columns, channels) → (batch, channels, channels)."""
    positions = ops.reshape(activations, (ops.shape(activations)[0], -1, activations.shape[-1]))
    return ops.matmul(ops.transpose(positions, (0, 2, 1)), positions) / ops.cast(ops.shape(positions)[1], "float32")


def to_lab(pictures: Tensor) -> Tensor:
    """Convert sRGB pictures in [-1, 1] to CIE Lab ÷ 100, in the same shape: L in [0, 1], a and b about [-1, 1]."""
    encoded = ops.clip((pictures + 1) / 2, 0, 1)
    linear = ops.where(
        encoded <= 0.04045, encoded / 12.92, ops.power((ops.maximum(encoded, 0.04045) + 0.055) / 1.055, 2.4)
    )
    xyz = ops.matmul(linear, XYZ_FROM_RGB.T)
    threshold = (6 / 29) ** 3
    roots = ops.where(
        xyz > threshold, ops.power(ops.maximum(xyz, threshold), 1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29
    )
    return ops.matmul(roots, LAB_FROM_XYZ_ROOTS.T) + LAB_OFFSET


def sort_colors(pictures: Tensor, square: int = PALETTE_SQUARE) -> Tensor:
    """Return the sorted colours of pictures along each direction: (batch, directions, squares), of Lab ÷ 100.

    pictures: (batch, height, width, 3) in [-1, 1]. square: side in pixels of the squares that are averaged.
    """
    lab = to_lab(ops.average_pool(pictures, square, square, padding="valid"))
    colors = ops.reshape(lab, (ops.shape(lab)[0], -1, 3))
    return ops.sort(ops.matmul(PALETTE_DIRECTIONS, ops.transpose(colors, (0, 2, 1))), axis=-1)


def palette(pictures: Tensor, square: int = PALETTE_SQUARE) -> Tensor:
    """Return the quantiles of the colours of pictures: (batch, directions, PALETTE_QUANTILES), of Lab ÷ 100."""
    return _interpolate(sort_colors(pictures, square), PALETTE_QUANTILES)


def palette_distance(pictures: Tensor, palettes: Tensor) -> Tensor:
    """Return the squared sliced Wasserstein distance of pictures from palettes, of Lab ÷ 100: (batch,).

    Rabin et al., “Wasserstein Barycenter and Its Application to Texture Mixing” (2011): the mean squared distance of
    the sorted colours along each direction. palettes: (1 or batch, directions, PALETTE_QUANTILES).
    """
    colors = sort_colors(pictures)
    return ops.mean(ops.square(colors - _interpolate(palettes, ops.shape(colors)[-1])), axis=(1, 2))


def grain(pictures: Tensor) -> Tensor:
    """Return the decimal logarithm of the power in each octave of frequencies: (batch, GRAIN_BANDS), finest first.

    pictures: (batch, height, width, 3) in [-1, 1]. The octaves are differences of averages over squares of 1, 2, 4, …
    pixels, whose powers add up.
    """
    powers = []
    for _ in range(GRAIN_BANDS + 1):
        powers.append(ops.mean(ops.square(pictures), axis=(1, 2, 3)))
        pictures = ops.average_pool(pictures, 2, 2, padding="valid")
    differences = ops.stack([fine - coarse for fine, coarse in pairwise(powers)], axis=-1)
    return ops.log10(ops.maximum(differences, 0) + _POWER_EPSILON)


def _interpolate(quantiles: Tensor, count: Tensor) -> Tensor:
    """Interpolate sorted values (batch, directions, n) linearly at the centres of `count` equal shares of them."""
    last = ops.shape(quantiles)[-1] - 1
    # Of an uncast count: JAX would treat a cast one as unknown.
    position = (ops.cast(ops.arange(count), "float32") + 0.5) / ops.cast(count, "float32")
    position = position * ops.cast(last + 1, "float32") - 0.5
    position = ops.clip(position, 0, ops.cast(last, "float32"))
    below = ops.cast(ops.floor(position), "int32")
    share = position - ops.cast(below, "float32")
    above = ops.minimum(below + 1, last)
    return ops.take(quantiles, below, axis=-1) * (1 - share) + ops.take(quantiles, above, axis=-1) * share
