"""Color spaces: how the 8-bit RGB values of a picture encode light. Codes are those of ITU-T H.273.

Transfer functions: ITU-R BT.2100-2 (PQ, HLG), IEC 61966-2-1 (sRGB). Reference white of 203 cd/m²: ITU-R BT.2408.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

#: Codes of primaries. That of BT.709 is the code of its transfer function and of its matrix, too.
BT709, BT2020, P3 = 1, 9, 12

#: Codes of matrices: unspecified, and BT.601 as of 625 and of 525 lines, which are the same matrix.
UNSPECIFIED, BT601_625, BT601_525 = 2, 5, 6

#: Codes of transfer functions.
GAMMA_22, GAMMA_28, LINEAR, SRGB, PQ, HLG = 4, 5, 8, 13, 16, 18

#: Luminance of white in cd/m².
REFERENCE_WHITE = 203.0

#: Peak of an HLG display in cd/m², and its system gamma.
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2

#: x and y of D65, the white of all color spaces here: others, such as that of DCI-P3, are taken as adapted to it.
_WHITE = (0.3127, 0.3290)

Chromaticities = tuple[float, float, float, float, float, float]
Matrix = tuple[tuple[float, float, float], ...]

#: x and y of red, green and blue by the code of primaries.
_CHROMATICITIES: dict[int, Chromaticities] = {
    BT709: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    BT2020: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    P3: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}


class ColorSpace(NamedTuple):
    """The encoding of RGB values of 0 to 255."""

    #: x and y of red, green and blue.
    chromaticities: Chromaticities = _CHROMATICITIES[BT709]
    #: Code of the transfer function; 0 for an exponent of `gamma`.
    transfer: int = SRGB
    gamma: float = 1.0
    #: Whether black and white are 0 and 255, not 16 and 235.
    is_full_range: bool = True

    @property
    def is_hdr(self) -> bool:
        """Whether values can be brighter than white."""
        return self.transfer in (PQ, HLG)


def get_chromaticities(primaries: int) -> Chromaticities:
    """Return x and y of red, green and blue of a code of primaries; those of BT.709 for an unknown one."""
    return _CHROMATICITIES.get(primaries, _CHROMATICITIES[BT709])


def color_space_from_codes(primaries: int, transfer: int, *, is_full_range: bool = True) -> ColorSpace:
    """Return the color space of codes. Unknown ones and “unspecified” are taken as sRGB's.

    So are the transfer functions of SDR video (BT.709 and its equals): stills that name them are made for viewers that
    show them as sRGB, as Chromium does.
    """
    known_transfer = transfer if transfer in _DECODERS else SRGB
    return ColorSpace(get_chromaticities(primaries), known_transfer, is_full_range=is_full_range)


@lru_cache(maxsize=16)
def build_light_table(space: ColorSpace) -> list[float]:
    """Return the light of each value of 0 to 255 of a channel, in multiples of white; of HLG, that of the scene."""
    decode = _DECODERS.get(space.transfer) or (lambda signal: signal**space.gamma)
    black, white = (0, 255) if space.is_full_range else (16, 235)
    return [decode(min(max((value - black) / (white - black), 0.0), 1.0)) for value in range(256)]


@lru_cache(maxsize=16)
def build_srgb_matrix(space: ColorSpace) -> Matrix:
    """Return the matrix from linear RGB of a color space to linear sRGB."""
    to_srgb = _invert(_build_xyz_matrix(_CHROMATICITIES[BT709]))
    columns = list(zip(*_build_xyz_matrix(space.chromaticities), strict=True))
    return tuple(tuple(_dot(row, column) for column in columns) for row in to_srgb)  # type: ignore[misc]


def get_luminance_weights(space: ColorSpace) -> tuple[float, float, float]:
    """Return the weights of linear red, green and blue in luminance."""
    return _build_xyz_matrix(space.chromaticities)[1]


def _build_xyz_matrix(chromaticities: Chromaticities) -> Matrix:
    """Return the matrix from linear RGB to XYZ, with Y = 1 for white (SMPTE RP 177)."""
    points = [chromaticities[0:2], chromaticities[2:4], chromaticities[4:6]]
    columns = [(x / y, 1.0, (1 - x - y) / y) for x, y in points]
    x, y = _WHITE
    rows: Matrix = tuple(zip(*columns, strict=True))
    scales = [_dot(row, (x / y, 1.0, (1 - x - y) / y)) for row in _invert(rows)]
    return tuple((row[0] * scales[0], row[1] * scales[1], row[2] * scales[2]) for row in rows)


def _dot(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    return sum(one * other for one, other in zip(first, second, strict=True))


def _invert(matrix: Matrix) -> Matrix:
    """Return the inverse of a 3 × 3 matrix."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple((row[0] / determinant, row[1] / determinant, row[2] / determinant) for row in cofactors)


def _decode_srgb(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else float(((signal + 0.055) / 1.055) ** 2.4)


def _decode_pq(signal: float) -> float:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    return float((max(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1) * 10_000 / REFERENCE_WHITE)


def _decode_hlg(signal: float) -> float:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return signal * signal / 3 if signal <= 0.5 else (math.exp((signal - c) / a) + b) / 12


#: Functions from a signal of 0 to 1 to light, by the code of the transfer function.
_DECODERS: dict[int, Callable[[float], float]] = {
    GAMMA_22: lambda signal: signal**2.2,
    GAMMA_28: lambda signal: signal**2.8,
    LINEAR: lambda signal: signal,
    SRGB: _decode_srgb,
    PQ: _decode_pq,
    HLG: _decode_hlg,
}
