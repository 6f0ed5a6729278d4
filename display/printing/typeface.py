"""Typeface of the sheets: the pages' own, unpacked for Pillow, with a system's font for what it cannot write."""

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import ImageDraw, ImageFont


class Style(Enum):
    """A style of the typeface, with the files that have its glyphs, and a weight if they have several."""

    TITLE = (("newsreader-latin-wght-normal", "newsreader-latin-ext-wght-normal"), 500)
    ITALIC = (("newsreader-latin-400-italic", "newsreader-latin-ext-400-italic"), None)


#: Fonts of macOS and Debian with the characters of Japanese, Chinese and Korean; the first that is there is used.
_SYSTEM_FONTS = (
    "/System/Library/Fonts/ヒラギノ明朝 ProN.ttc",
    "/usr/share/fonts/opentype/noto/NotoSerifCJK-Regular.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
)


@dataclass(frozen=True)
class _Font:
    """A font file, and the characters that it can write."""

    data: bytes
    characters: frozenset[int]
    weight: int | None


def measure_text(text: str, style: Style, size: int) -> float:
    """Return the width of a line of text in pixels. size: of the type, in pixels."""
    return sum(font.getlength(run) for run, font in _split(text, style, size))


def draw_text(
    draw: ImageDraw.ImageDraw, position: tuple[float, float], text: str, style: Style, size: int, color: str
) -> None:
    """Draw a line of text. position: left end of its baseline, in pixels."""
    x, y = position
    for run, font in _split(text, style, size):
        draw.text((x, y), run, fill=color, font=font, anchor="ls")
        x += font.getlength(run)


def _split(text: str, style: Style, size: int) -> Iterator[tuple[str, ImageFont.FreeTypeFont]]:
    """Yield the runs of a text that one font can write, each with that font; characters of no font are left out."""
    fonts = _load_fonts(style)

    def find_font(character: str) -> int | None:
        return next((i for i, font in enumerate(fonts) if ord(character) in font.characters), None)

    for index, characters in groupby(text, find_font):
        if index is not None:
            yield "".join(characters), _open_font(style, index, size)


@functools.cache
def _load_fonts(style: Style) -> list[_Font]:
    names, weight = style.value
    return [_unpack(name, weight) for name in names] + _load_system_fonts()


def _unpack(name: str, weight: int | None) -> _Font:
    data = files("display").joinpath("components", "fonts", f"{name}.woff2").read_bytes()
    font = TTFont(io.BytesIO(data))
    characters = frozenset(font.getBestCmap())
    font.flavor = None
    unpacked = io.BytesIO()
    font.save(unpacked)
    return _Font(unpacked.getvalue(), characters, weight)


@functools.cache
def _load_system_fonts() -> list[_Font]:
    path = next((path for path in map(Path, _SYSTEM_FONTS) if path.exists()), None)
    if path is None:
        return []
    with TTFont(path, fontNumber=0, lazy=True) as font:
        return [_Font(path.read_bytes(), frozenset(font.getBestCmap()), None)]


@functools.lru_cache(64)
def _open_font(style: Style, index: int, size: int) -> ImageFont.FreeTypeFont:
    font = _load_fonts(style)[index]
    opened = ImageFont.truetype(io.BytesIO(font.data), size)
    if font.weight is not None:
        opened.set_variation_by_axes([font.weight])
    return opened
