"""The page about an event's look, docs/event.md: `python -m tools.event_reference` prints it."""

import re

from shared.appearance import EVENT_TABLE, Appearance

#: The sentence of a description that says what applies without the key.
_DEFAULT = re.compile(r" Default: (.*?)\.(?= |$)")

_PAGE = f"""\
# The evening's own look

<!-- Generated from shared/appearance.py by `make settings`. -->

An event has a title, a logo, colors and texts of its own: on the wall, the gallery, the map, the guests' phones and
the console's login, and at the end of the clips. Set them on the console's tab *Event*, which shows a preview, or in a
TOML file that `ARTDREAM_EVENT` names:

    [{EVENT_TABLE}]
    title = "Long Night of the Museums"
    subtitle = "Municipal Gallery, June 14"
    logo = "logo.png"
    accent = "#e2007a"
    theme = "light"
    consent = "I am happy that my photo and its dream are shown tonight."

![The tab Event: a field for each text, colors, a preview, and the start of a new event](pictures/console-event.jpg)

The display reads the file when it starts, and every component uses what it says. Several displays must name
the same file: that of the display that was started last applies. Changes on the console take precedence, field by
field, until *Back to the event file*. Open walls, galleries and maps show a change within seconds, without reloading;
pages on phones show it when they are next opened. The changes survive a restart, and a broker that loses its memory.

*Start a new event* empties wall and gallery, and resets the limits of prints. Nothing is deleted; *Show earlier
events again* brings all dreams back.

## The keys

All of them are optional. A file with an unknown key, an invalid color or a missing logo is reported in one
sentence, and the display does not start.

| key | meaning | default |
|---|---|---|
"""

_NOTES = """
## Good to know

- Texts are plain text, in one language for all guests. Those that are empty are in the language of each page.
- Text and background have a contrast of 4.5:1 or more (WCAG 2.2, AA) with any accent. If the chosen one has less, the
  console says which color is used instead.
- The logo is stored as a PNG of at most 1600 pixels, without metadata and without a transparent margin. SVG files are
  refused, because they can contain scripts, and prints and clips need pixels.
- Clips of an event with a title end with it and the logo. Japanese titles are written with a font of macOS or of
  Debian's `fonts-noto-cjk`; a title with letters that no font has is left out there, and the log says so. Clips that
  are already made stay as they are.
- The wall fills 16:9 in any resolution, 4:3, and upright screens. Long titles and texts are made smaller to fit.
"""


def render_page() -> str:
    """Return the text of docs/event.md."""
    rows = []
    for name, field in Appearance.model_fields.items():
        description = field.description or ""
        default = _DEFAULT.search(description)
        limit = next((each for part in field.metadata if (each := getattr(part, "max_length", None))), None)
        meaning = _DEFAULT.sub("", description) + (f" At most {limit} characters." if limit else "")
        value = field.default if isinstance(field.default, float) else f"`{field.default}`"
        rows.append(f"| `{name}` | {meaning} | {default[1] if default else value} |\n")
    return _PAGE + "".join(rows) + _NOTES


if __name__ == "__main__":
    print(render_page(), end="")  # noqa: T201
