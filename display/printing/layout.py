"""Layouts of sheets: where dream, photo, text, logo and QR code lie, in millimetres, whatever the pictures' shapes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

from display.printing.paper import Paper

SheetName = Literal["postcard", "photo-and-dream", "dream"]

#: Millimetres on a sheet that is 100 mm wide; larger sheets are enlarged as a whole. The margin stays white, so a
#: printer that needs one, or that cuts a little of a sheet without one, takes nothing away.
_MARGIN, _GAP = 5.0, 4.0
_FOOTER_HEIGHT, _COLUMN_WIDTH = 18.0, 29.0

#: Share of the length of a strip from which on it is as long as the dream.
_MIN_ALIGNED = 0.75


@dataclass(frozen=True)
class Box:
    """A rectangle on a sheet, in millimetres from the upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square millimetres."""
        return self.width * self.height

    def inset(self, margin: float) -> "Box":
        """Return the rectangle without a margin on each side."""
        return Box(self.x + margin, self.y + margin, self.width - 2 * margin, self.height - 2 * margin)

    def fit(self, aspect: float, *, x: float = 0.5, y: float = 0.5) -> "Box":
        """Return the largest rectangle of an aspect ratio inside. x, y: its place, from 0 (left, top) to 1."""
        width = min(self.width, self.height * aspect)
        height = width / aspect
        return Box(self.x + x * (self.width - width), self.y + y * (self.height - height), width, height)

    def split(self, size: float, gap: float, *, at_bottom: bool) -> "tuple[Box, Box]":
        """Return what is left without a strip of some size at the bottom or at the right, and the strip."""
        if at_bottom:
            rest = self.height - size - gap
            return Box(self.x, self.y, self.width, rest), Box(self.x, self.y + rest + gap, self.width, size)
        rest = self.width - size - gap
        return Box(self.x, self.y, rest, self.height), Box(self.x + rest + gap, self.y, size, self.height)


@dataclass(frozen=True)
class Layout:
    """Where everything lies. What is None is not on the sheet."""

    #: Width and height of the sheet.
    size: tuple[float, float]
    dream: Box
    photo: Box | None = None
    text: Box | None = None
    logo: Box | None = None
    qr_code: Box | None = None
    #: Millimetres on the sheet for one on a sheet that is 100 mm wide.
    scale: float = 1.0
    #: Whether text begins at the top of its box; otherwise it is in the middle.
    is_column: bool = field(default=False)


@dataclass(frozen=True)
class Shapes:
    """Width divided by height of the pictures, None for what there is not; and whether there is a QR code."""

    dream: float
    photo: float | None
    logo: float | None
    has_qr_code: bool


def make_layout(sheet: SheetName, paper: Paper, shapes: Shapes) -> Layout:
    """Return the layout in which the dream is largest: the sheet is upright or lies on its side as the dream does."""
    sizes = dict.fromkeys([(paper.width, paper.height), (paper.height, paper.width)])
    candidates: Iterable[Layout]
    if sheet == "dream" or (sheet == "photo-and-dream" and shapes.photo is None):
        candidates = (_lay_out_dream(size, shapes) for size in sizes)
    elif sheet == "photo-and-dream":
        candidates = (_lay_out_pair(size, shapes, at_bottom=stacked) for size, stacked in product(sizes, (True, False)))
    else:
        candidates = (_lay_out_postcard(size, shapes, footer=footer) for size, footer in product(sizes, (True, False)))
    return max(candidates, key=lambda layout: layout.dream.area)


def _lay_out_dream(size: tuple[float, float], shapes: Shapes) -> Layout:
    scale = min(size) / 100
    return Layout(size, Box(0, 0, *size).inset(_MARGIN * scale).fit(shapes.dream), scale=scale)


def _lay_out_pair(size: tuple[float, float], shapes: Shapes, *, at_bottom: bool) -> Layout:
    """Lay photo and dream out at the same size, one below or beside the other, together in the middle of the sheet."""
    scale = min(size) / 100
    page, gap = Box(0, 0, *size).inset(_MARGIN * scale), _GAP * scale
    assert shapes.photo is not None  # noqa: S101  for the type checker
    half = ((page.height if at_bottom else page.width) - gap) / 2
    first, second = page.split(half, gap, at_bottom=at_bottom)
    # They touch the gap between them, not the edges of the sheet.
    photo = first.fit(shapes.photo, y=1.0) if at_bottom else first.fit(shapes.photo, x=1.0)
    dream = second.fit(shapes.dream, y=0.0) if at_bottom else second.fit(shapes.dream, x=0.0)
    return Layout(size, dream, photo, scale=scale)


def _lay_out_postcard(size: tuple[float, float], shapes: Shapes, *, footer: bool) -> Layout:
    """Lay the dream out large, all else in a footer below it or in a column beside it."""
    scale = min(size) / 100
    page, gap = Box(0, 0, *size).inset(_MARGIN * scale), _GAP * scale
    strip_size = (_FOOTER_HEIGHT if footer else _COLUMN_WIDTH) * scale
    area, strip = page.split(strip_size, gap, at_bottom=footer)
    dream = area.fit(shapes.dream)
    # The edges of dream and strip are in line, unless the strip would become too short.
    if footer and dream.width > _MIN_ALIGNED * strip.width:
        strip = Box(dream.x, strip.y, dream.width, strip.height)
    elif not footer and dream.height > _MIN_ALIGNED * strip.height:
        strip = Box(strip.x, dream.y, strip.width, dream.height)
    fill = _fill_footer if footer else _fill_column
    return Layout(size, dream, scale=scale, is_column=not footer, **fill(strip, shapes, gap))


def _fill_footer(footer: Box, shapes: Shapes, gap: float) -> dict[str, Box | None]:
    """Return photo, text, logo and QR code from left to right."""
    boxes: dict[str, Box | None] = {}
    left, right = footer.x, footer.x + footer.width
    if shapes.photo is not None:
        box = Box(left, footer.y, footer.width * 0.26, footer.height).fit(shapes.photo, x=0.0)
        boxes["photo"], left = box, left + box.width + gap
    if shapes.has_qr_code:
        boxes["qr_code"], right = (
            Box(right - footer.height, footer.y, footer.height, footer.height),
            right - footer.height,
        )
        right -= gap
    if shapes.logo is not None:
        width, height = footer.width * 0.15, footer.height * 0.7
        area = Box(right - width, footer.y + (footer.height - height) / 2, width, height)
        box = area.fit(shapes.logo, x=1.0)
        boxes["logo"], right = box, box.x - gap
    boxes["text"] = Box(left, footer.y, right - left, footer.height)
    return boxes


def _fill_column(column: Box, shapes: Shapes, gap: float) -> dict[str, Box | None]:
    """Return photo, text, logo and QR code from top to bottom."""
    boxes: dict[str, Box | None] = {}
    top, bottom = column.y, column.y + column.height
    if shapes.photo is not None:
        box = Box(column.x, top, column.width, column.height * 0.34).fit(shapes.photo, x=0.0, y=0.0)
        boxes["photo"], top = box, top + box.height + gap
    if shapes.has_qr_code:
        side = min(column.width, column.height * 0.2)
        boxes["qr_code"], bottom = Box(column.x, bottom - side, side, side), bottom - side - gap
    if shapes.logo is not None:
        height = column.height * 0.11
        area = Box(column.x, bottom - height, column.width, height)
        box = area.fit(shapes.logo, x=0.0, y=1.0)
        boxes["logo"], bottom = box, box.y - gap
    boxes["text"] = Box(column.x, top, column.width, bottom - top)
    return boxes
