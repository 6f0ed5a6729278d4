"""Typeface: the pages' own, for texts on pictures, with a system's font for letters that it lacks. Needs Pillow."""

from collections.abc import Iterator
from enum import Enum
from functools import cache, lru_cache
from importlib.resources import as_file, files
from itertools import groupby
from pathlib import Path

from PIL import ImageDraw, ImageFont


class Style(Enum):
    """A style of Newsreader: the files that share its letters, and its weight if they have several."""

    REGULAR = (("newsreader-latin-wght-normal", "newsreader-latin-ext-wght-normal"), 400)
    TITLE = (("newsreader-latin-wght-normal", "newsreader-latin-ext-wght-normal"), 500)
    ITALIC = (("newsreader-latin-400-italic", "newsreader-latin-ext-400-italic"), None)


#: Fonts of macOS and Debian with the letters of Japanese, Chinese and Korean; the first that is there is used.
_SYSTEM_FONTS = (
    "/System/Library/Fonts/ヒラギノ明朝 ProN.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
)

#: A letter that no font has: what is drawn instead of it stands for all that are missing.
_UNKNOWN_LETTER = "\uffff"

#: Pixels at which letters are looked for.
_PROBE_SIZE = 16


def measure_text(text: str, style: Style, size: int) -> float:
    """Return the width of a line of text in pixels. size: of the type, in pixels."""
    return sum(font.getlength(run) for run, font in _split(text, style, size))


def draw_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    style: Style,
    size: int,
    color: str | tuple[int, int, int],
) -> None:
    """Draw a line of text; letters that no font has are left out. position: left end of its baseline, in pixels."""
    x, y = position
    for run, font in _split(text, style, size):
        draw.text((x, y), run, fill=color, font=font, anchor="ls")
        x += font.getlength(run)


def find_missing_letters(text: str, style: Style = Style.REGULAR) -> list[str]:
    """Return the letters of a text that no font has, each once."""
    return [letter for letter in dict.fromkeys(text) if _find_font(style, letter) is None]


def has_letter(font: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Return whether a font draws a letter, and not the box that stands for all that it lacks."""
    return bytes(font.getmask(letter)) != bytes(font.getmask(_UNKNOWN_LETTER))


def _split(text: str, style: Style, size: int) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """Yield the runs of a text that are in one font, each with that font."""
    for index, letters in groupby(text, lambda letter: _find_font(style, letter)):
        if index is not None:
            yield "".join(letters), _open_font(style, index, size)


@cache
def _find_font(style: Style, letter: str) -> int | None:
    """Return the index of the first font that has a letter; None if none has."""
    if letter.isspace():
        return 0
    for index in range(len(style.value[0]) + len(_list_system_fonts())):
        if has_letter(_open_font(style, index, _PROBE_SIZE), letter):
            return index
    return None


@cache
def _list_system_fonts() -> list[Path]:
    return [path for path in map(Path, _SYSTEM_FONTS) if path.exists()][:1]


@lru_cache(64)
def _open_font(style: Style, index: int, size: int) -> ImageFont.FreeTypeFont:
    names, weight = style.value
    if index >= len(names):
        return ImageFont.truetype(_list_system_fonts()[index - len(names)], size)
    # A file of the same distribution: none of the display's code is used.
    with as_file(files("display").joinpath("components", "fonts", f"{names[index]}.woff2")) as path:
        font = ImageFont.truetype(path, size)
    if weight is not None:
        font.set_variation_by_axes([weight])
    return font
