"""The film of an evening: a title card, each dream with its photo before it, all dreams at once, and an end card.

Each dream is a segment in a file of its own, named after what it is made of: what is there is not made again.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from shared.appearance import ThemeColors
from shared.colors import parse_color
from shared.errors import ArtDreamError
from shared.recipe.canvas import Canvas
from shared.storage.logo import load_logo
from shared.storage.object_names import thumb_name
from shared.storage.store import Store
from shared.typeface import Style, draw_text, find_missing_letters, measure_text
from worker.clips.animations import Transition, smootherstep
from worker.clips.dream_pictures import EveningDream, UnusablePicture, iter_dream_pictures, load_picture
from worker.clips.film_segments import Planes, cross_fade, encode_segment, to_planes
from worker.clips.framing import Box, fit_into, frame_picture

#: Part of every segment's key: another number makes all segments again, after this module has changed what they show.
_SEGMENT_VERSION = 1

#: Pictures per second.
RATE = 25

#: Pictures of one dream that are blended into one another, with photo and dream. Bounds the memory.
_MAX_PICTURES = 8

#: Seconds from one dream into the next; at most this share of a dream's seconds.
_FADE_SECONDS, _MAX_FADE_SHARE = 1.0, 0.2

#: Shares of the remaining seconds: the photo, its way into the dream, the dream.
_PHASES = (0.18, 0.42, 0.4)

#: Seconds of the title card, of all dreams at once, of the end card, and of the fades from and to black.
_TITLE_SECONDS, _MOSAIC_SECONDS, _END_SECONDS, _CARD_FADE_SECONDS = 4.0, 3.0, 3.5, 1.2

#: Dreams that are shown at once; of more, an even selection. Fewer than the least are not shown at once.
_MIN_MOSAIC, _MAX_MOSAIC = 6, 80

#: Shares of the short side of the frame: its margin, the caption below a picture, and letters.
_MARGIN, _CAPTION_HEIGHT, _CAPTION_LETTERS = 0.055, 0.08, 0.034
_TITLE_LETTERS, _SUBTITLE_LETTERS = 0.1, 0.04

#: Shares of the frame's sides that a logo may take.
_LOGO_WIDTH, _LOGO_HEIGHT = 0.3, 0.16


@dataclass(frozen=True)
class FilmStyle:
    """What a film looks like."""

    #: Both sides are even.
    size: Canvas
    #: Seconds of each dream.
    seconds: float
    title: str
    subtitle: str
    #: Text of the end card.
    closing: str
    colors: ThemeColors
    #: Object name of a picture above the title; "" for none.
    logo: str = ""


class Film:
    """Makes the segments of a film in a folder. before_each: called before each picture of the film; may wait."""

    def __init__(self, store: Store, style: FilmStyle, folder: Path, before_each: Callable[[], None]) -> None:
        """Raise ArtDreamError if no font has a letter of the cards."""
        self._store, self._style, self._folder, self._before_each = store, style, folder, before_each
        for text in (style.title, style.subtitle, style.closing):
            if missing := find_missing_letters(text):
                raise ArtDreamError(
                    f"No font here has {' '.join(missing)} for “{text}”: choose another with --title or --subtitle."
                )
        self._unit = min(style.size)
        colors = style.colors
        self._ground, self._ink, self._muted, self._accent = (
            parse_color(color) for color in (colors.ground, colors.ink, colors.muted, colors.accent)
        )
        #: The last picture of the previous segment, and which dream's it is; None: the title card's.
        self._last: tuple[EveningDream | None, Planes] | None = None

    def make_title(self) -> Path:
        """Make the segment of the title card, and return its file."""
        return self._make("title", [], lambda: self._iter_title(to_planes(self._draw_title())))

    def make_dream(self, dream: EveningDream, previous: EveningDream | None) -> Path:
        """Make a dream's segment, which begins with the previous dream (None: with the title), and return its file.

        Raises UnusablePicture if a picture of the dream is missing or damaged, StoreError if the store is unavailable.
        """
        return self._make("dream", [dream, previous], lambda: self._iter_dream(dream, previous))

    def make_end(self, dreams: Sequence[EveningDream]) -> Path:
        """Make the segment of the end, which shows all dreams at once, and return its file."""
        return self._make("end", list(dreams), lambda: self._iter_end(dreams))

    def _make(self, kind: str, dreams: Sequence[EveningDream | None], make: Callable[[], Iterable[Planes]]) -> Path:
        """Return the file of a segment; make it first if it is not there."""
        style = self._style
        parts = [_SEGMENT_VERSION, kind, style.size, style.seconds, asdict(style.colors), dreams]
        if kind != "dream" or None in dreams:
            parts += [style.title, style.subtitle, style.closing, style.logo]
        path = self._folder / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}.mp4"
        if not path.exists():
            encode_segment(self._wait_before_each(make()), path, style.size, RATE)
        return path

    def _wait_before_each(self, pictures: Iterable[Planes]) -> Iterator[Planes]:
        for picture in pictures:
            self._before_each()
            yield picture

    def _iter_title(self, card: Planes) -> Iterator[Planes]:
        fade = round(_CARD_FADE_SECONDS * RATE)
        yield from cross_fade(self._make_ground(), card, fade)
        yield from [card] * (round(_TITLE_SECONDS * RATE) - fade)

    def _iter_dream(self, dream: EveningDream, previous: EveningDream | None) -> Iterator[Planes]:
        style = self._style
        before = self._load_last_picture(previous)
        transition = Transition([to_planes(picture) for picture in self._iter_framed_pictures(dream)])
        fade = round(min(_FADE_SECONDS, _MAX_FADE_SHARE * style.seconds) * RATE)
        yield from cross_fade(before, transition.interpolate(0), fade)
        count = round(style.seconds * RATE) - fade
        hold, way, _ = (share * count for share in _PHASES)
        for number in range(count):
            yield transition.interpolate(smootherstep((number - hold) / way))
        self._last = dream, transition.interpolate(1)

    def _iter_end(self, dreams: Sequence[EveningDream]) -> Iterator[Planes]:
        last = self._load_last_picture(dreams[-1] if dreams else None)
        fade, card_fade = round(_FADE_SECONDS * RATE), round(_CARD_FADE_SECONDS * RATE)
        backdrop = Image.new("RGB", self._style.size, self._ground)
        if len(dreams) >= _MIN_MOSAIC:
            backdrop = self._draw_mosaic(dreams)
            mosaic = to_planes(backdrop)
            yield from cross_fade(last, mosaic, fade)
            yield from [mosaic] * round(_MOSAIC_SECONDS * RATE)
            last = mosaic
            backdrop = Image.blend(backdrop, Image.new("RGB", backdrop.size, self._ground), 0.86)
        self._draw_card(backdrop, self._style.closing, "")
        card = to_planes(backdrop)
        yield from cross_fade(last, card, card_fade)
        yield from [card] * round(_END_SECONDS * RATE)
        ground = self._make_ground()
        yield from cross_fade(card, ground, card_fade)
        yield from [ground] * (RATE // 2)

    def _make_ground(self) -> Planes:
        return to_planes(Image.new("RGB", self._style.size, self._ground))

    def _load_last_picture(self, dream: EveningDream | None) -> Planes:
        """Return the last picture of a dream's segment, None: of the title's."""
        if self._last and self._last[0] == dream:
            return self._last[1]
        if dream is None:
            return to_planes(self._draw_title())
        try:
            picture = load_picture(self._store, dream.dream)
        except UnusablePicture:  # it was deleted since its segment was made, which will not be in the film
            return self._make_ground()
        return to_planes(self._frame(picture, self._place(picture), dream.title, 1))

    def _iter_framed_pictures(self, dream: EveningDream) -> Iterator[Image.Image]:
        """Yield the pictures of a dream, framed. All have the place of the dream, whose caption appears with it."""
        finished = load_picture(self._store, dream.dream)
        place = self._place(finished)
        pictures = list(iter_dream_pictures(self._store, dream, _MAX_PICTURES))
        for number, picture in enumerate(pictures):
            yield self._frame(picture, place, dream.title, number / (len(pictures) - 1))

    def _place(self, picture: Image.Image) -> Box:
        """Return the place of a picture in the frame."""
        size, margin = self._style.size, round(_MARGIN * self._unit)
        caption = round(_CAPTION_HEIGHT * self._unit)
        return fit_into(
            picture.width, picture.height, Box(margin, margin, size.width - margin, size.height - max(margin, caption))
        )

    def _frame(self, picture: Image.Image, place: Box, caption: str, opacity: float) -> Image.Image:
        """Return a picture at its place, with a caption below its left edge. opacity: of the caption."""
        frame = frame_picture(picture, self._style.size, place, self._ground)
        if opacity > 0:
            lettered = frame.copy()
            baseline = place.lower + 0.62 * _CAPTION_HEIGHT * self._unit
            height, width = _CAPTION_LETTERS * self._unit, max(place.right - place.left, self._unit / 2)
            position = place.left, baseline
            _draw_line(lettered, caption, position, height, self._ink, width, align="left")
            frame = Image.blend(frame, lettered, opacity)
        return frame

    def _draw_title(self) -> Image.Image:
        card = Image.new("RGB", self._style.size, self._ground)
        self._draw_card(card, self._style.title, self._style.subtitle)
        return card

    def _draw_card(self, card: Image.Image, title: str, subtitle: str) -> None:
        """Draw into the middle of a card, from top to bottom: the logo, a title, a line and a subtitle."""
        (width, height), unit = card.size, self._unit
        middle, max_width = width / 2, 0.84 * width
        logo = self._load_logo()
        baseline = height / 2 + (0.02 if subtitle else 0.035) * unit
        if logo:
            baseline += logo.height / 2
            upper = round(baseline - _TITLE_LETTERS * unit - 0.06 * unit) - logo.height
            card.paste(logo, (round(middle - logo.width / 2), upper), logo)
        _draw_line(card, title, (middle, baseline), _TITLE_LETTERS * unit, self._ink, max_width)
        if subtitle:
            line, half = baseline + 0.055 * unit, 0.05 * unit
            box = middle - half, line, middle + half, line + max(1, round(unit / 540)) - 1
            ImageDraw.Draw(card).rectangle(box, self._accent)
            position, letters = (middle, line + 0.075 * unit), _SUBTITLE_LETTERS * unit
            _draw_line(card, subtitle, position, letters, self._muted, max_width)

    def _load_logo(self) -> Image.Image | None:
        """Return the logo, RGBA, at its size on a card; None if there is none that can be read."""
        logo = load_logo(self._store, self._style.logo)
        if logo is None:
            return None
        width, height = self._style.size
        return ImageOps.contain(logo, (round(_LOGO_WIDTH * width), round(_LOGO_HEIGHT * height)))

    def _draw_mosaic(self, dreams: Sequence[EveningDream]) -> Image.Image:
        """Return dreams side by side, one loaded after the other. Those that are missing leave their cell dark."""
        size = self._style.size
        columns, rows = choose_grid(min(len(dreams), _MAX_MOSAIC), size)
        mosaic = Image.new("RGB", size, self._ground)
        gap = max(2, self._unit // 240)
        chosen = np.linspace(0, len(dreams) - 1, columns * rows).round().astype(int)
        for cell, index in enumerate(chosen):
            row, column = divmod(cell, columns)
            left, right = (round(side * (size.width - gap) / columns) for side in (column, column + 1))
            upper, lower = (round(side * (size.height - gap) / rows) for side in (row, row + 1))
            dream = dreams[index]
            try:
                picture = load_picture(self._store, thumb_name(dream.job_id), dream.dream)
            except UnusablePicture:
                continue
            fitted = ImageOps.fit(picture, (right - left - gap, lower - upper - gap), Image.Resampling.LANCZOS)
            mosaic.paste(fitted, (left + gap, upper + gap))
        return mosaic


def choose_grid(count: int, size: Canvas) -> tuple[int, int]:
    """Return the columns and rows, of at most `count` cells, that fill a frame with cells of about 4:3."""
    grids = [(columns, count // columns) for columns in range(1, count + 1)]

    def rate(grid: tuple[int, int]) -> float:
        columns, rows = grid
        aspect = size.width / columns / (size.height / rows)
        return abs(math.log(aspect / (4 / 3))) + 2 * (1 - columns * rows / count)

    return min(grids, key=rate)


def choose_seconds(dream_count: int) -> float:
    """Return the seconds of each dream: eight, or fewer if the film would be longer than a quarter of an hour."""
    return float(min(8, max(3, 900 // max(1, dream_count))))


def _draw_line(
    picture: Image.Image,
    text: str,
    position: tuple[float, float],
    height: float,
    color: tuple[int, int, int],
    max_width: float,
    *,
    align: Literal["left", "center"] = "center",
) -> None:
    """Draw a line of text on an RGB picture, smaller than `height` if it would be wider than `max_width`.

    position: of the baseline, at the left end of the line or at its middle. height: of the type, in pixels.
    """
    size = round(height)
    if (width := measure_text(text, Style.REGULAR, size)) > max_width:
        size = max(1, int(height * max_width / width))
    x, baseline = position
    if align == "center":
        x -= measure_text(text, Style.REGULAR, size) / 2
    draw_text(ImageDraw.Draw(picture), (x, baseline), text, Style.REGULAR, size, color)
