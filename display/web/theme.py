"""Theme: an event's appearance as CSS variables, and as what the scripts of a page need."""

from pathlib import PurePosixPath

from shared.appearance import Appearance, Theme
from shared.colors import parse_color

#: Variables beside the colors, by theme: shadows of pictures, what is behind a dialog, and how much of the ground
#: covers a picture that is itself the background.
_SHADOWS = {
    Theme.DARK: {"--shadow": "rgb(0 0 0 / 0.55)", "--behind": "rgb(0 0 0 / 0.75)", "--veil": "0.62"},
    Theme.LIGHT: {"--shadow": "rgb(58 44 22 / 0.28)", "--behind": "rgb(58 50 38 / 0.6)", "--veil": "0.8"},
}


def build_theme_variables(appearance: Appearance) -> dict[str, str]:
    """Return the CSS properties of the root element of each page. No text of the event is among them."""
    colors = appearance.colors
    return {
        "color-scheme": appearance.theme.value,
        "--ground-rgb": _format_rgb(colors.ground),
        "--ink-rgb": _format_rgb(colors.ink),
        "--muted": colors.muted,
        "--accent": colors.accent,
        # Where the display has no accent by default, an event's own one is used.
        "--action": colors.accent if appearance.accent else colors.ink,
        "--rule": colors.accent if appearance.accent else f"rgb({_format_rgb(colors.ink)} / 0.22)",
        "--glow-rgb": _format_rgb(appearance.accent or colors.accent),  # of large areas, which nobody has to read
        "--signal": colors.signal,
        "--field": colors.field,
        "--field-edge": colors.field_edge,
        "--fault": colors.fault,
        "--fault-ink": colors.fault_ink,
        "--text-scale": f"{appearance.text_scale:g}",
        **_SHADOWS[appearance.theme],
    }


def build_theme_css(appearance: Appearance) -> str:
    """Return the rule that sets the variables."""
    declarations = (f"{name}: {value};" for name, value in build_theme_variables(appearance).items())
    return f":root {{ {' '.join(declarations)} }}"


def describe_appearance(appearance: Appearance) -> dict[str, object]:
    """Return what the scripts of a page need; an empty text stands for the one in the page's language."""
    return {
        "variables": build_theme_variables(appearance),
        "theme": appearance.theme.value,
        "title": appearance.title,
        "subtitle": appearance.subtitle,
        "idle_text": appearance.idle_text,
        "consent": appearance.consent,
        "logo": make_logo_url(appearance),
    }


def make_logo_url(appearance: Appearance) -> str:
    """Return the path of the logo, "" if there is none."""
    return f"/event/logos/{PurePosixPath(appearance.logo).name}" if appearance.logo else ""


def _format_rgb(color: str) -> str:
    return " ".join(map(str, parse_color(color)))
