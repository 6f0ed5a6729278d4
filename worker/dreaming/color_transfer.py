"""Tone photos: move their colours towards a palette as a whole, before the first step of an ascent."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from worker.dreaming.style_measures import LAB_FROM_XYZ_ROOTS, LAB_OFFSET, PALETTE_DIRECTIONS, XYZ_FROM_RGB, to_lab
from worker.networks.network import to_picture, to_pixels

Floats = NDArray[np.float32]

#: Keeps covariances of photos of a single colour invertible, of Lab ÷ 100.
_VARIANCE_EPSILON = 1e-4

#: Largest stretch of colours: a photo of a wall must not become a confetti of its noise.
MAX_STRETCH = 3.0


#: Photos are sampled at every so many pixels, down and right.
SAMPLE_STRIDE = 4

#: Values of each channel in the table of colours by which a photo is toned.
TABLE_SIDE = 33


class Toning(NamedTuple):
    """How photos are toned."""

    #: (photos, directions, quantiles): a palette for each photo.
    palettes: Floats
    #: Share of the way to the palette, 0 to 1.
    share: float


def tone_photo(photo: Floats, palette: Floats, share: float) -> Floats:
    """Move the colours of a photo towards a palette, and return it in the same shape.

    The linear map that carries mean and covariance of the photo's Lab colours to those of the palette with the least
    change (Pitié and Kokaram, “The linear Monge-Kantorovitch linear colour mapping”, 2007). photo: (height, width, 3)
    in [-1, 1]. palette: (directions, quantiles). share: of the way, 0 to 1.
    """
    colors = np.asarray(to_lab(photo[::SAMPLE_STRIDE, ::SAMPLE_STRIDE])).reshape(-1, 3).astype(np.float64)
    mean, covariance = colors.mean(axis=0), np.cov(colors.T) + _VARIANCE_EPSILON * np.eye(3)
    target_mean, target_covariance = estimate_moments(palette)
    stretch = compute_stretch(covariance, target_covariance)

    def tone(lab: Floats) -> Floats:
        toned = target_mean + (lab - mean) @ stretch.T
        return _from_lab(((1 - share) * lab + share * toned).astype(np.float32))

    # Far fewer colours are converted than a photo has pixels.
    table = ImageFilter.Color3DLUT(TABLE_SIDE, (tone(_list_table_colors()) + 1).ravel() / 2)
    toned: Floats = to_picture(np.asarray(Image.fromarray(to_pixels(photo[None])).filter(table)))[0]
    return toned


def compute_stretch(covariance: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric matrix that carries one covariance of colours to another with the least change: all (3, 3).

    No colour is stretched more than MAX_STRETCH times.
    """
    root, inverse_root = _power(covariance, 0.5), _power(covariance, -0.5)
    stretch = inverse_root @ _power(root @ target @ root, 0.5) @ inverse_root
    values, vectors = np.linalg.eigh(stretch)
    limited: NDArray[np.float64] = (vectors * np.minimum(values, MAX_STRETCH)) @ vectors.T
    return limited


@cache
def _list_table_colors() -> Floats:
    """Return the colours of the table in Lab ÷ 100: (blue, green, red, 3). Cached, and not computed at import."""
    values = np.linspace(-1, 1, TABLE_SIDE)
    return np.asarray(to_lab(np.stack(np.meshgrid(values, values, values, indexing="ij")[::-1], axis=-1)))


def estimate_moments(palette: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (3,) and covariance (3, 3) of the colours of a palette, of Lab ÷ 100.

    The first directions are the axes; the variances along all of them determine the covariance.
    """
    variances = np.square(palette - palette.mean(axis=1, keepdims=True)).mean(axis=1)
    rows, columns = np.triu_indices(3)
    factors = np.where(rows == columns, 1, 2) * PALETTE_DIRECTIONS[:, rows] * PALETTE_DIRECTIONS[:, columns]
    upper, *_ = np.linalg.lstsq(factors.astype(np.float64), variances.astype(np.float64), rcond=None)
    covariance = np.zeros((3, 3))
    covariance[rows, columns] = covariance[columns, rows] = upper
    return palette[:3].mean(axis=1).astype(np.float64), _power(covariance, 1)


def _power(matrix: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    """Return a power of a symmetric matrix; what is not positive definite through rounding is made so."""
    values, vectors = np.linalg.eigh(matrix)
    power: NDArray[np.float64] = (vectors * np.maximum(values, _VARIANCE_EPSILON) ** exponent) @ vectors.T
    return power


def _from_lab(lab: Floats) -> Floats:
    """Convert Lab ÷ 100 to sRGB in [-1, 1], clipped to what can be shown."""
    roots = (lab - LAB_OFFSET) @ np.linalg.inv(LAB_FROM_XYZ_ROOTS).T
    xyz = np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    linear = np.clip(xyz @ np.linalg.inv(XYZ_FROM_RGB).T, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.power(linear, 1 / 2.4) - 0.055)
    return np.asarray(2 * encoded - 1, np.float32)
