"""Figures of a dream: how much of it is fine noise, and how near its colours and textures are to a painter's works.

All functions are pure and take arrays, so that each can be tested on a picture whose answer is known.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, fftfreq
from scipy.signal.windows import tukey

from worker.dreamer import Pixels

Floats = NDArray[np.floating[Any]]

#: Cycles per pixel above which the energy of a change, and that of a dream's colours, counts as noise; 0.5 is the
#: finest that a row of pixels can hold. Of photos 0.1 to 2 % of the colour energy lies above, of paintings 0.3 %.
MAX_CHANGE_FREQUENCY, MAX_COLOR_FREQUENCY = 0.25, 0.2

#: Share of each side over which the window of the spectrum rises or falls.
WINDOW_TAPER = 0.25

#: Red, green and blue → luma, Cb and Cr (ITU-R BT.601, full range).
YCBCR_MATRIX = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)

#: Linear red, green and blue → X, Y and Z (IEC 61966-2-1), and the XYZ of the white point D65.
XYZ_MATRIX = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE_XYZ = XYZ_MATRIX.sum(axis=1)

#: Directions in Lab onto which colours are projected, and quantiles that are kept of each projection.
PALETTE_SHAPE = PALETTE_DIRECTIONS, PALETTE_QUANTILES = 64, 128

#: Resamplings of a bootstrap, and the share of them within its interval.
BOOTSTRAP_ROUNDS, BOOTSTRAP_COVERAGE = 10_000, 0.95


class ChangeSpectrum(NamedTuple):
    """The share of a change's energy that is finer than MAX_CHANGE_FREQUENCY, each 0 to 1."""

    #: Of red, green and blue together.
    total: float
    #: Of luma alone, and of Cb and Cr.
    luma: float
    chroma: float


class Interval(NamedTuple):
    """A mean, with the interval in which it would lie for other samples of the same kind."""

    mean: float
    low: float
    high: float


def measure_change_spectrum(photo: Pixels, dream: Pixels) -> ChangeSpectrum:
    """Return how much of the difference of a dream and its photo is fine noise.

    photo, dream: (height, width, 3) uint8 sRGB, of one size: that of the dream. A bare gradient ascent on pixels has
    a share of about 0.4; white noise 0.8.
    """
    change = dream.astype(np.float32) - photo.astype(np.float32)
    luma_and_chroma = change @ YCBCR_MATRIX.T
    return ChangeSpectrum(
        *(
            measure_fine_energy(planes, MAX_CHANGE_FREQUENCY)
            for planes in (change, luma_and_chroma[..., :1], luma_and_chroma[..., 1:])
        )
    )


def measure_fine_color(pixels: Pixels) -> float:
    """Return the share, 0 to 1, of a picture's colour energy above MAX_COLOR_FREQUENCY.

    pixels: (height, width, 3) uint8 sRGB. The colour energy is that of Lab's a and b, without their means.
    """
    return measure_fine_energy(convert_to_lab(pixels)[..., 1:], MAX_COLOR_FREQUENCY)


def measure_fine_energy(planes: Floats, cutoff: float) -> float:
    """Return the share, 0 to 1, of the energy of some planes whose radial frequency is above a cutoff.

    planes: (height, width, channels); each without its mean, which is no detail, and under a window that is 0 at the
    borders (Tukey's), because the step from one border to the opposite one would count as detail of every frequency.
    cutoff: in cycles per pixel. Planes without any energy have the share 0.
    """
    height, width, _ = planes.shape
    window = np.outer(tukey(height, 2 * WINDOW_TAPER), tukey(width, 2 * WINDOW_TAPER)).astype(np.float32)[..., None]
    means = (planes * window).sum(axis=(0, 1)) / window.sum()
    spectrum = fft2((planes - means) * window, axes=(0, 1))
    energy = (spectrum.real.astype(np.float64) ** 2 + spectrum.imag.astype(np.float64) ** 2).sum(axis=2)
    frequencies = np.hypot(fftfreq(height)[:, None], fftfreq(width)[None])
    total = float(energy.sum())
    return float(energy[frequencies > cutoff].sum()) / total if total else 0.0


def convert_to_lab(pixels: Pixels) -> Floats:
    """Convert sRGB pixels (…, 3) uint8 to CIE 1976 L*a*b* of the same shape, float32, white point D65.

    L is 0 to 100; a difference of 1 is about the least that the eye sees.
    """
    levels = np.arange(256) / 255
    linear_levels = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    xyz = linear_levels.astype(np.float32)[pixels] @ (XYZ_MATRIX / WHITE_XYZ[:, None]).T.astype(np.float32)
    roots = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def describe_palette(lab: Floats) -> Floats:
    """Describe a set of colours by the quantiles of its projections: (PALETTE_DIRECTIONS, PALETTE_QUANTILES).

    lab: (colours, 3) in Lab, of one picture or of many; their order does not matter.
    """
    # A Fibonacci lattice spreads directions evenly; half of the sphere suffices, the other half mirrors it.
    index = np.arange(PALETTE_DIRECTIONS)
    heights, angles = (index + 0.5) / PALETTE_DIRECTIONS, index * np.pi * (3 - np.sqrt(5))
    radii = np.sqrt(1 - heights**2)
    directions = np.stack([radii * np.cos(angles), radii * np.sin(angles), heights])
    shares = (np.arange(PALETTE_QUANTILES) + 0.5) / PALETTE_QUANTILES
    return np.quantile(lab @ directions.astype(np.float32), shares, axis=0).T.astype(np.float32)


def measure_palette_distance(palette: Floats, other: Floats) -> float:
    """Return the sliced Wasserstein distance of two palettes, as `describe_palette` describes them, in Lab's units.

    The mean, over all directions, of how far the colours of one palette must move to become those of the other (Rabin,
    Peyré, Delon and Bernot, “Wasserstein Barycenter and its Application to Texture Mixing”, 2011). If all colours are
    shifted by d, the distance is d / 2, the mean length of the projections of d.
    """
    return float(np.abs(palette - other).mean())


def measure_gram_distance(
    grams: Sequence[Floats], mean_grams: Sequence[Floats], scales: Sequence[float] | None = None
) -> float:
    """Return the distance of a picture's textures from a painter's: the sum over layers of squared distances.

    grams, mean_grams: of some layers, the Gram matrix (channels, channels) of the picture, and the mean of those of the
    painter's works (Gatys, Ecker and Bethge, “A Neural Algorithm of Artistic Style”, arXiv 1508.06576). scales: what
    the squared distance of each layer is relative to; None: to the painter's own square, so that 1 is the distance of a
    layer that is silent.
    """
    if scales is None:
        scales = [float(np.square(mean).sum()) for mean in mean_grams]
    return sum(
        float(np.square(gram - mean).sum() / scale) for gram, mean, scale in zip(grams, mean_grams, scales, strict=True)
    )


def rank_ascending(values: Sequence[float] | NDArray[np.floating], index: int) -> int:
    """Return the rank of one of some values, from 1 for the smallest; equal values share the best of their ranks."""
    return 1 + int(np.sum(np.asarray(values) < values[index]))


def bootstrap_mean(groups: Sequence[Sequence[float]], seed: int = 0) -> Interval:
    """Return the mean of all values, with a 95 % interval by the percentile bootstrap over groups (Efron, 1979).

    groups: the values of each group, such as the dreams of one photo, which are alike; whole groups are drawn, with
    replacement, because another photo would replace all its dreams. One group alone gives an interval of no width.
    """
    sums, sizes = (np.array([function(group) for group in groups], float) for function in (np.sum, len))
    drawn = np.random.default_rng(seed).integers(len(groups), size=(BOOTSTRAP_ROUNDS, len(groups)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - BOOTSTRAP_COVERAGE) / 2, (1 + BOOTSTRAP_COVERAGE) / 2])
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))
