"""High dynamic range: tone-map pictures with light brighter than a screen's white to sRGB.

Transfer functions: ITU-R BT.2100-2. Reference white of 203 cd/m²: ITU-R BT.2408. Curve: E. Reinhard et al.,
"Photographic tone reproduction for digital images" (2002), equation 4, on luminance, so that colours keep their hue.

Computed by Pillow, in float32: NumPy would make up a third of the installation of a producer-only machine.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageMath

#: Codes of ITU-T H.273.
PQ, HLG, BT2020 = 16, 18, 9
HDR_TRANSFERS = (PQ, HLG)

#: Luminance of white in cd/m², and the brightest light that is not clipped, in multiples of white.
REFERENCE_WHITE, MAX_LUMINANCE = 203.0, 1000.0 / 203.0

#: Peak of an HLG display in cd/m², and its system gamma.
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2

ChannelWeights = tuple[float, float, float]

#: Linear BT.2020 RGB to linear sRGB (ITU-R BT.2087), and linear RGB to luminance, by whether it is BT.2020.
_BT2020_TO_SRGB: tuple[ChannelWeights, ...] = (
    (1.6605, -0.5876, -0.0728),
    (-0.1246, 1.1329, -0.0083),
    (-0.0182, -0.1006, 1.1187),
)
_LUMINANCE_WEIGHTS: dict[bool, ChannelWeights] = {True: (0.2627, 0.6780, 0.0593), False: (0.2126, 0.7152, 0.0722)}

#: Channels in mode F (float32), and the operands of Pillow's ImageMath; Pillow has no more precise types.
Channels = Sequence[Image.Image]
Operand = Any


def tone_map(image: Image.Image, transfer: int, *, wide_gamut: bool) -> Image.Image:
    """Convert an 8-bit RGB picture to 8-bit sRGB.

    transfer: its transfer function, PQ or HLG. wide_gamut: its primaries are those of BT.2020, not sRGB's.
    """
    signals = [band.convert("F") for band in image.split()]
    if transfer == PQ:
        light = [_apply_formula(_pq_to_light, signal) for signal in signals]
    else:
        scene = [_apply_formula(_hlg_to_scene_light, signal) for signal in signals]
        luminance = _mix_channels(scene, _LUMINANCE_WEIGHTS[wide_gamut])
        light = [_apply_formula(_apply_hlg_display_gamma, channel, luminance) for channel in scene]
    luminance = _mix_channels(light, _LUMINANCE_WEIGHTS[wide_gamut])
    light = [_apply_formula(_compress_reinhard, channel, luminance) for channel in light]
    if wide_gamut:
        light = [_mix_channels(light, row) for row in _BT2020_TO_SRGB]
    return Image.merge("RGB", [_apply_formula(_encode_srgb, channel).convert("L") for channel in light])


def _apply_formula(formula: Callable[..., Operand], *channels: Image.Image) -> Image.Image:
    """Evaluate a formula per pixel, with one operand per channel."""
    named = {f"c{number}": channel for number, channel in enumerate(channels)}
    result: Image.Image = ImageMath.lambda_eval(lambda operands: formula(*(operands[name] for name in named)), **named)
    return result


def _mix_channels(channels: Channels, weights: ChannelWeights) -> Image.Image:
    """Return the weighted sum of channels."""
    return _apply_formula(
        lambda *operands: sum(operand * weight for operand, weight in zip(operands, weights, strict=True)), *channels
    )


def _pq_to_light(signal: Operand) -> Operand:
    """Return the linear light, in multiples of white, of a PQ signal of 0 to 255."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = (signal / 255) ** (1 / m2)
    above = (power - c1) * (power > c1)
    return (above / (c2 - power * c3)) ** (1 / m1) * (10_000 / REFERENCE_WHITE)


def _hlg_to_scene_light(signal: Operand) -> Operand:
    """Return the linear light of the scene, 0 to 1, of an HLG signal of 0 to 255."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = signal / 255
    bright = (math.e ** ((signal - c) / a) + b) / 12
    return signal * signal / 3 * (signal <= 0.5) + bright * (signal > 0.5)


def _apply_hlg_display_gamma(scene: Operand, luminance: Operand) -> Operand:
    """Return the light of an HLG display, in multiples of white, of scene light of 0 to 1."""
    return scene * (luminance + 1e-6) ** (HLG_GAMMA - 1) * (HLG_PEAK / REFERENCE_WHITE)


def _compress_reinhard(light: Operand, luminance: Operand) -> Operand:
    """Compress light of 0 to MAX_LUMINANCE to 0 to 1 (Reinhard, equation 4)."""
    return light * (luminance / MAX_LUMINANCE**2 + 1) / (luminance + 1)


def _encode_srgb(light: Operand) -> Operand:
    """Encode linear light, clipped to 0 to 1, as sRGB of 0.5 to 255.5 (IEC 61966-2-1), which truncation rounds."""
    light = light * (light > 0)
    light = light * (light < 1) + (light >= 1)
    dark = light <= 0.0031308
    return (light * 12.92 * dark + (light ** (1 / 2.4) * 1.055 - 0.055) * (light > 0.0031308)) * 255 + 0.5
