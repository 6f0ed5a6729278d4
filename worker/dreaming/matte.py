"""The edges of people in a photo, refined by the photo itself.

Guided filter: K. He, J. Sun and X. Tang, “Guided Image Filtering” (2013). Near its edge, a mask is a linear function of
the colours around, fitted to the probabilities: it follows strands of hair, and has the detail of a photo of any size,
although it is fitted to a small one (K. He and J. Sun, “Fast Guided Filter”, arXiv 1505.00996).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from worker.dreamer import Pixels

Floats = NDArray[np.float32]

#: Side of the filter's windows, and how far from the edge of the probabilities the edge may lie, as shares of the long
#: side: the networks see the photo at 256 px.
WINDOW_SHARE, EDGE_SHARE = 0.03, 0.02

#: Variance of colours, in [0, 1], that counts as an edge.
EDGE_VARIANCE = 1e-4

#: Slope by which the fitted values leave the middle: values that are nearly 0 or 1 become so.
CONTRAST = 1.6


class Matte:
    """The share of people in the pixels of a photo, at any size."""

    def __init__(self, probability: Floats, photo: Pixels) -> None:
        """Fit a matte.

        probability: of each pixel to show a person, (height, width) in [0, 1]. photo: (height, width, 3) uint8 sRGB, of
        any size with the aspect of the probabilities.
        """
        height, width = probability.shape
        guide = cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
        long_side = max(height, width)
        self._coefficients = _fit_guided_filter(guide, probability, round(WINDOW_SHARE * long_side) | 1)
        is_person = (probability > 0.5).astype(np.uint8)
        reach = np.float32(EDGE_SHARE * long_side)
        # Positive inside, negative outside, ±1 at the farthest that the edge may lie.
        self._side = (
            cv2.distanceTransform(is_person, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - is_person, cv2.DIST_L2, 3)
        ) / reach

    def render(self, photo: Pixels) -> Floats:
        """Return the matte of the photo at another size: (height, width) in [0, 1], 0 and 1 beyond the edges.

        photo: (height, width, 3) uint8 sRGB.
        """
        size = photo.shape[1], photo.shape[0]
        matte = cv2.resize(self._coefficients[..., 3], size)
        for channel in range(3):
            factor = cv2.resize(self._coefficients[..., channel], size)
            matte = matte + factor * (photo[..., channel].astype(np.float32) / np.float32(255))
        matte = (matte - 0.5) * CONTRAST + 0.5
        side = cv2.resize(self._side, size)
        return np.asarray(np.clip(np.minimum(np.maximum(matte, side), 1 + side), 0, 1), np.float32)


def _fit_guided_filter(guide: Floats, values: Floats, window: int) -> Floats:
    """Return the factors of red, green and blue, and the constant, of each pixel: (height, width, 4).

    guide: (height, width, 3) in [0, 1]. values: (height, width). window: side in pixels, odd.
    """

    def mean(pictures: Floats) -> Floats:
        return np.asarray(cv2.blur(pictures, (window, window)), np.float32)

    mean_guide, mean_values = mean(guide), mean(values)
    covariance = mean(guide * values[..., None]) - mean_guide * mean_values[..., None]
    products = np.stack([mean(guide * guide[..., channel : channel + 1]) for channel in range(3)], axis=-1)
    variance = products - mean_guide[..., None] * mean_guide[..., None, :] + EDGE_VARIANCE * np.eye(3, dtype=np.float32)
    factors = np.linalg.solve(variance, covariance[..., None])[..., 0]
    constant = mean_values - (factors * mean_guide).sum(axis=-1)
    coefficients: Floats = mean(np.dstack([factors, constant]).astype(np.float32))
    return coefficients
