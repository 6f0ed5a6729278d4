"""Colors: contrast by WCAG 2, and the nearest color of a hue that has enough of it."""

import re

#: A color as #rrggbb.
HEX_COLOR = re.compile("#[0-9a-f]{6}", re.ASCII)

#: Contrast that WCAG 2.2, level AA, asks of text (1.4.3); more than of lines and marks (1.4.11).
TEXT_CONTRAST = 4.5

_Rgb = tuple[float, float, float]

_BLACK: _Rgb = (0.0, 0.0, 0.0)
_WHITE: _Rgb = (255.0, 255.0, 255.0)


def parse_color(color: str) -> tuple[int, int, int]:
    """Return red, green and blue of #rrggbb, each 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def compute_contrast(color: str, other: str) -> float:
    """Return the contrast ratio of two colors, 1 to 21, in either order (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_compute_luminance(color), _compute_luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def ensure_contrast(color: str, *grounds: str, contrast: float = TEXT_CONTRAST) -> str:
    """Return a color that has a contrast on all grounds: the color itself, or mixed with as little white or black.

    grounds: colors that are all dark, or all light, enough for white or black text.
    """
    if _has_contrast(color, grounds, contrast):
        return color
    target = _WHITE if all(compute_contrast("#ffffff", ground) >= contrast for ground in grounds) else _BLACK
    rgb = parse_color(color)
    for percent in range(1, 100):
        mixed = _mix(rgb, target, percent / 100)
        if _has_contrast(mixed, grounds, contrast):
            return mixed
    return _mix(rgb, target, 1.0)


def _has_contrast(color: str, grounds: tuple[str, ...], contrast: float) -> bool:
    return all(compute_contrast(color, ground) >= contrast for ground in grounds)


def _mix(color: tuple[int, int, int], target: _Rgb, share: float) -> str:
    mixed = (round(value + (end - value) * share) for value, end in zip(color, target, strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _compute_luminance(color: str) -> float:
    red, green, blue = (_linearize(value / 255) for value in parse_color(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linearize(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
