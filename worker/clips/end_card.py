"""End card: the last picture of a clip, with title and logo of the event."""

import logging
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shared.appearance import Appearance
from shared.recipe.canvas import Canvas
from shared.typeface import Style, draw_text, find_missing_letters, measure_text
from worker.clips.video_encoder import Animation

logger = logging.getLogger(__name__)

#: Seconds in which the card fades in, and in which it stays.
FADE_SECONDS, HOLD_SECONDS = 0.5, 1.7

#: Largest number of lines of the title.
_MAX_TITLE_LINES = 3

#: Shares of the picture's short side: heights of logo, title and subtitle, and the space between them.
_LOGO_SHARE, _TITLE_SHARE, _SUBTITLE_SHARE, _GAP_SHARE = 0.2, 0.11, 0.05, 0.06

#: Share of the picture's width that the card uses.
_WIDTH_SHARE = 0.84

#: Width of the line below the title, as a share of the title's height.
_RULE_SHARE = 0.9


class EndCard:
    """Draws the card in any size. It has the title and the subtitle as far as the typeface has their letters."""

    def __init__(self, appearance: Appearance, logo: Image.Image | None) -> None:
        """logo: RGBA; None for none."""
        self._colors = appearance.colors
        self._title, self._subtitle = _keep_drawable(appearance.title), _keep_drawable(appearance.subtitle)
        self._logo = logo

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self._title and self._logo is None

    def render(self, size: Canvas) -> NDArray[np.uint8]:
        """Return the card, (height, width, 3) uint8 sRGB."""
        unit, max_width = min(size), round(_WIDTH_SHARE * size.width)
        blocks = []
        if self._logo is not None:
            blocks.append(_fit_logo(self._logo, max_width, round(_LOGO_SHARE * unit)))
        if self._title:
            blocks.append(_draw_title(self._title, max_width, _TITLE_SHARE * unit, self._colors.ink))
            rule_size = max(2, round(_RULE_SHARE * _TITLE_SHARE * unit)), max(1, round(unit / 400))
            blocks.append(Image.new("RGBA", rule_size, self._colors.accent))
        if self._subtitle:
            blocks.append(_draw_lines([self._subtitle], max_width, _SUBTITLE_SHARE * unit, self._colors.muted))
        card = Image.new("RGB", size, self._colors.ground)
        gap = round(_GAP_SHARE * unit)
        height = sum(block.height for block in blocks) + gap * (len(blocks) - 1)
        top = (size.height - height) // 2
        for block in blocks:
            card.paste(block, ((size.width - block.width) // 2, top), block)
            top += block.height + gap
        return np.asarray(card)


class WithEndCard:
    """An animation, and then the card, which fades in and stays."""

    def __init__(self, animation: Animation, card: EndCard) -> None:
        self.size, self.rate = animation.size, animation.rate
        self._animation, self._card = animation, card

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._animation) + self._fade_length + round(HOLD_SECONDS * self.rate)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pictures, (height, width, 3)."""
        last = card = self._card.render(Canvas(*self.size))
        for picture in self._animation:
            last = picture
            yield picture
        for number in range(1, self._fade_length + 1):
            weight = np.float32(number / (self._fade_length + 1))
            yield (last * (1 - weight) + card * weight + np.float32(0.5)).astype(np.uint8)
        for _ in range(round(HOLD_SECONDS * self.rate)):
            yield card

    @property
    def _fade_length(self) -> int:
        return round(FADE_SECONDS * self.rate)


@cache  # it is logged once
def _keep_drawable(text: str) -> str:
    """Return a text, "" if no font has all of its letters."""
    if missing := find_missing_letters(text):
        logger.warning("The end cards of clips leave out “%s”: no font here has %s", text, " ".join(missing))
        return ""
    return text


def _fit_logo(logo: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / logo.width, height / logo.height)
    size = max(1, round(logo.width * scale)), max(1, round(logo.height * scale))
    return logo.resize(size, Image.Resampling.LANCZOS)


def _draw_title(title: str, max_width: int, height: float, color: str) -> Image.Image:
    """Draw a title in as few lines as its letters need, at most _MAX_TITLE_LINES, smaller if they do not fit."""
    for count in range(1, _MAX_TITLE_LINES):
        lines = textwrap.wrap(title, max(1, -(-len(title) // count) + count))
        if max(_measure(line, round(height)) for line in lines) <= max_width:
            break
    else:
        lines = textwrap.wrap(title, max(1, -(-len(title) // _MAX_TITLE_LINES) + 2))
    return _draw_lines(lines, max_width, height, color)


def _draw_lines(lines: Sequence[str], max_width: int, height: float, color: str) -> Image.Image:
    """Draw centred lines of text on a transparent ground, smaller than `height` if one is wider than `max_width`."""
    widest = max(_measure(line, round(height)) for line in lines)
    size = max(6, int(height * min(1.0, max_width / widest)))
    line_height = round(1.2 * size)
    image = Image.new("RGBA", (max_width, line_height * len(lines)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        position = (max_width - _measure(line, size)) / 2, line_height * number + size
        draw_text(draw, position, line, Style.REGULAR, size, color)
    return image


def _measure(line: str, size: int) -> float:
    """Return the width of a line in pixels."""
    return measure_text(line, Style.REGULAR, size)
