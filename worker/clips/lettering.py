"""Lettering: lines of text on pictures, in a font of the caller's choice."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from shared.errors import ArtDreamError

#: A letter that no font has: what is drawn instead of it stands for all that are missing.
_UNKNOWN_LETTER = "\uffff"

Align = Literal["left", "center"]


class Lettering:
    """Draws text in one font. Raises ArtDreamError if the file is no font."""

    def __init__(self, font_file: Path) -> None:
        self._file = font_file
        self._load_font(16)

    def require_letters(self, text: str) -> None:
        """Raise ArtDreamError if the font does not have all letters of a text."""
        font = self._load_font(16)
        unknown = bytes(font.getmask(_UNKNOWN_LETTER))
        missing = [letter for letter in dict.fromkeys(text) if bytes(font.getmask(letter)) == unknown]
        if missing:
            raise ArtDreamError(
                f"The font {self._file.name} has no {' '.join(missing)} for “{text}”: name one that has, with --font."
            )

    def draw(
        self,
        frame: Image.Image,
        text: str,
        position: tuple[float, float],
        height: float,
        color: tuple[int, int, int],
        *,
        align: Align = "center",
        max_width: float | None = None,
    ) -> None:
        """Draw a line of text on an RGB picture, smaller than `height` if it would be wider than `max_width`.

        position: of the baseline, at the left end of the line or at its middle. height: of the font, in pixels.
        """
        font = self._load_font(round(height))
        if max_width is not None and (width := font.getlength(text)) > max_width:
            font = self._load_font(max(1, int(height * max_width / width)))
        ImageDraw.Draw(frame).text(position, text, color, font, anchor="ls" if align == "left" else "ms")

    @lru_cache(8)  # noqa: B019  there is one object for a film
    def _load_font(self, height: int) -> ImageFont.FreeTypeFont:
        try:
            return ImageFont.truetype(self._file, height)
        except OSError as error:
            raise ArtDreamError(f"{self._file} is no font that can be used: name a TrueType file.") from error
