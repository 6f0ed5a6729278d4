"""Conversion of RGB pictures from any color space to sRGB; light brighter than white is brought below it.

Curve: the Möbius transformation of FFmpeg's `tonemap` and of mpv. Light up to KNEE is kept as it is, so that what is no
highlight looks as in a picture without HDR, and reference white comes out at 238 of 255. Reinhard's curve, which
Chromium uses, leaves 190. Of the largest channel, so that colors keep their hue.

Computed by Pillow, in float32: NumPy would make up a third of the installation of a producer-only machine.
"""

from functools import lru_cache, reduce

from PIL import Image

from producer.decoding.color_space import (
    HLG,
    HLG_GAMMA,
    HLG_PEAK,
    REFERENCE_WHITE,
    ColorSpace,
    build_light_table,
    build_srgb_matrix,
    get_luminance_weights,
)
from producer.decoding.image_math import Operand, evaluate, find_brightest, maximum

#: Light that is kept as it is, and the brightest that is not clipped, in multiples of white.
KNEE, MAX_LIGHT = 0.7, 1000.0 / REFERENCE_WHITE


def convert_color_space(image: Image.Image, space: ColorSpace) -> Image.Image:
    """Convert an 8-bit RGB picture to 8-bit sRGB."""
    if space == ColorSpace():
        return image
    light = [band.point(build_light_table(space), "F") for band in image.split()]
    if space.transfer == HLG:
        luminance = _mix_channels(light, get_luminance_weights(space))
        light = [evaluate(_to_hlg_display_light, channel, luminance) for channel in light]
    light = [_mix_channels(light, row) for row in build_srgb_matrix(space)]
    if space.is_hdr:
        light = _compress(light)
    return Image.merge(
        "RGB", [evaluate(_to_level, channel).convert("I").point(_build_srgb_table(), "L") for channel in light]
    )


def _mix_channels(channels: list[Image.Image], weights: tuple[float, float, float]) -> Image.Image:
    """Return the weighted sum of channels."""
    return evaluate(lambda red, green, blue: red * weights[0] + green * weights[1] + blue * weights[2], *channels)


def _to_hlg_display_light(scene: Operand, luminance: Operand) -> Operand:
    """Return the light of an HLG display, in multiples of white, of scene light of 0 to 1."""
    return scene * (luminance + 1e-6) ** (HLG_GAMMA - 1) * (HLG_PEAK / REFERENCE_WHITE)


def _compress(light: list[Image.Image]) -> list[Image.Image]:
    """Compress light to at most 1, white, if any is brighter."""
    largest = reduce(maximum, light)
    peak = min(find_brightest(largest), MAX_LIGHT)
    if peak <= 1:
        return light
    a = -(KNEE**2) * (peak - 1) / (KNEE**2 - 2 * KNEE + peak)
    b = (KNEE**2 - 2 * KNEE * peak + peak) / (peak - 1)
    scale = (b * b + 2 * b * KNEE + KNEE**2) / (b - a)

    def get_gain(value: Operand) -> Operand:
        is_dark = value <= KNEE
        bright = value * (value > KNEE) + is_dark * 1.0  # Any value here, as long as nothing is divided by 0.
        return is_dark * 1.0 + (bright + a) / (bright + b) / bright * scale * (value > KNEE)

    gain = evaluate(get_gain, largest)
    return [evaluate(lambda channel, factor: channel * factor, channel, gain) for channel in light]


def _to_level(light: Operand) -> Operand:
    """Return light, clipped to 0 to 1, as levels of 0 to 65,535."""
    light = light * (light > 0)
    return (light * (light < 1) + (light >= 1)) * 65535 + 0.5


@lru_cache(maxsize=1)
def _build_srgb_table() -> list[int]:
    """Return the sRGB value, 0 to 255, of each level of linear light (IEC 61966-2-1)."""
    levels = [level / 65535 for level in range(65536)]
    return [
        round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)) for light in levels
    ]
