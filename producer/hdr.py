"""High dynamic range: pictures whose numbers mean light beyond the white of a screen, brought down to sRGB.

Transfer functions: ITU-R BT.2100-2. Reference white of 203 cd/m²: ITU-R BT.2408. Curve: E. Reinhard et al.,
"Photographic tone reproduction for digital images" (2002), equation 4, on luminance, so that colours keep their hue.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Codes of ITU-T H.273.
PQ, HLG, BT2020 = 16, 18, 9
TRANSFERS = (PQ, HLG)

#: What counts as white, in cd/m², and the brightest light that is still told apart, in whites.
WHITE, BRIGHTEST = 203.0, 1000.0 / 203.0

#: Peak of an HLG display in cd/m², and its system gamma.
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2

#: Light in BT.2020 primaries to light in sRGB's, and to luminance (ITU-R BT.2087, BT.2020).
_TO_SRGB = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
_LUMINANCE = {
    True: np.array([0.2627, 0.6780, 0.0593], np.float32),
    False: np.array([0.2126, 0.7152, 0.0722], np.float32),
}


def toned(image: Image.Image, transfer: int, *, wide: bool) -> Image.Image:
    """Bring an RGB picture with a transfer function of PQ or HLG to sRGB. wide: its primaries are those of BT.2020."""
    signal = np.asarray(image, np.float32) / np.float32(255)
    light = _from_pq(signal) if transfer == PQ else _from_hlg(signal, _LUMINANCE[wide])
    luminance = np.maximum((light @ _LUMINANCE[wide])[..., None], np.float32(1e-6))
    light *= (1 + luminance / BRIGHTEST**2) / (1 + luminance)
    if wide:
        light = light @ _TO_SRGB.T
    return Image.fromarray((_to_srgb(light) * 255 + 0.5).astype(np.uint8))


def _from_pq(signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return light, in whites."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** np.float32(1 / m2)
    light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.asarray(light * (10_000 / WHITE), np.float32)


def _from_hlg(signal: NDArray[np.float32], luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return light, in whites."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    brightness = np.maximum(scene @ luminance, 1e-6)[..., None]
    return np.asarray(scene * brightness ** (HLG_GAMMA - 1) * (HLG_PEAK / WHITE), np.float32)


def _to_srgb(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode light of 0 to 1 (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** np.float32(1 / 2.4) - 0.055)
