"""The Kuwahara filter: a picture's detail becomes dabs of even colour with crisp edges, as of a brush.

M. Kuwahara et al., "Processing of RI-angiocardiographic images" (1976), in the form of G. Papari, N. Petkov and
P. Campisi, "Artistic Edge and Corner Enhancing Smoothing" (2007): each pixel becomes the mean of Gaussian windows all
around it, of which those with the least variance count most.
"""

from collections.abc import Callable
from functools import lru_cache
from math import ceil, cos, pi, sin

import numpy as np
from keras import ops
from numpy.typing import NDArray

from worker.backend import Tensor, compile_function
from worker.dreamer import Pixels

#: Windows around a pixel; how far their centres are from it, and their standard deviation, as shares of the radius.
WINDOW_COUNT, WINDOW_DISTANCE, WINDOW_DEVIATION = 8, 0.6, 0.4

#: Standard deviations after which a window ends.
WINDOW_EXTENT = 2.5

#: The weight of a window is 1 ÷ its standard deviation to this power, of values from 0 to 255. More gives harder dabs.
SHARPNESS = 4

#: Keeps the sum of all weights above 0 where every window varies.
WEIGHT_EPSILON = 1e-12

#: Pixels: with a smaller radius all windows lie at one place.
MIN_RADIUS = 1.0

#: Rows that are filtered at a time: what is computed for them fits into a processor's cache, which makes it four times
#: as fast. The width is a multiple of BAND_COLUMNS: JAX compiles the filter for each shape, and would do so for nearly
#: each aspect of a photo.
BAND_ROWS, BAND_COLUMNS = 256, 256


def apply_kuwahara_filter(pixels: Pixels, radius: float) -> Pixels:
    """Return a picture in dabs, (height, width, 3) uint8, of the same size.

    radius: of a dab, in pixels; below MIN_RADIUS nothing changes.
    """
    if radius < MIN_RADIUS:
        return pixels
    margin, filter_band = _compile_filter(radius)
    height, width, _ = pixels.shape
    margins = ((margin, margin + -height % BAND_ROWS), (margin, margin + -width % BAND_COLUMNS), (0, 0))
    padded = np.pad(pixels, margins, mode="symmetric")
    bands = [padded[start : start + BAND_ROWS + 2 * margin] for start in range(0, height, BAND_ROWS)]
    return np.concatenate([np.asarray(filter_band(band), np.uint8)[:, :width] for band in bands])[:height]


@lru_cache(32)
def _compile_filter(radius: float) -> tuple[int, Callable[[Pixels], Tensor]]:
    """Return the margin that a band needs on each side, and the function that filters a band and cuts it off."""
    window = _make_gaussian(radius * WINDOW_DEVIATION)
    offsets = _list_offsets(radius * WINDOW_DISTANCE)
    margin = max(max(offset) for offset in offsets) + len(window) // 2
    kernel = np.tile(window[:, None, None], (1, 4, 1))

    def blur(channels: Tensor) -> Tensor:
        rows = ops.depthwise_conv(channels, kernel[:, None], padding="same")
        return ops.depthwise_conv(rows, kernel[None], padding="same")

    def filter_band(band: Tensor) -> Tensor:
        colors = ops.cast(band, "float32")[None]
        squares = ops.sum(ops.square(colors), axis=-1, keepdims=True)
        means = blur(ops.concatenate([colors, squares], axis=-1))
        variances = means[..., 3:] - ops.sum(ops.square(means[..., :3]), axis=-1, keepdims=True)
        weights = 1 / (1 + ops.maximum(variances, 0) ** (SHARPNESS // 2)) + WEIGHT_EPSILON
        weighted = ops.concatenate([means[..., :3] * weights, weights], axis=-1)
        height, width = ops.shape(band)[0] - 2 * margin, ops.shape(band)[1] - 2 * margin
        total: Tensor = sum(
            weighted[:, margin + down : margin + down + height, margin + right : margin + right + width]
            for down, right in offsets
        )
        return ops.cast(ops.clip(ops.round(total[0, ..., :3] / total[0, ..., 3:]), 0, 255), "uint8")

    return margin, compile_function(filter_band, input_specs=[((None, None, 3), "uint8")])


def _make_gaussian(deviation: float) -> NDArray[np.float32]:
    """Return a Gaussian window of one dimension, whose sum is 1. deviation: in pixels."""
    extent = ceil(WINDOW_EXTENT * deviation)
    window = np.exp(-0.5 * (np.arange(-extent, extent + 1) / deviation) ** 2)
    return np.asarray(window / window.sum(), np.float32)


def _list_offsets(distance: float) -> list[tuple[int, int]]:
    """List where the centres of the windows lie, in pixels down and right."""
    angles = [2 * pi * index / WINDOW_COUNT for index in range(WINDOW_COUNT)]
    return [(round(distance * sin(angle)), round(distance * cos(angle))) for angle in angles]
