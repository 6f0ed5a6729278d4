"""A contact sheet: pictures in rows, each with its name."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

#: Pixels: width of a cell, space around it, height of its caption.
CELL_WIDTH, CELL_GAP, CAPTION_HEIGHT = 360, 12, 34

COLUMNS = 5

BACKGROUND_COLOR, TEXT_COLOR, MUTED_COLOR = (250, 249, 246), (32, 32, 30), (130, 128, 122)


class Cell(NamedTuple):
    """A picture with its title and a note; None where there is no picture."""

    title: str
    note: str
    pixels: NDArray[np.uint8] | None


def draw_contact_sheet(cells: Sequence[Cell], columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Lay out cells row by row, all with the aspect of the first, which has a picture. Returns (height, width, 3)."""
    first = cells[0].pixels
    if first is None:
        raise ValueError("The first cell has no picture to take the aspect of.")
    size = CELL_WIDTH, round(CELL_WIDTH * first.shape[0] / first.shape[1])
    rows = -(-len(cells) // columns)
    whole = Image.new(
        "RGB",
        (columns * (CELL_WIDTH + CELL_GAP) + CELL_GAP, rows * (size[1] + CAPTION_HEIGHT + CELL_GAP) + CELL_GAP),
        BACKGROUND_COLOR,
    )
    draw = ImageDraw.Draw(whole)
    title, note = ImageFont.load_default(17), ImageFont.load_default(13)
    for index, cell in enumerate(cells):
        left = CELL_GAP + index % columns * (CELL_WIDTH + CELL_GAP)
        top = CELL_GAP + index // columns * (size[1] + CAPTION_HEIGHT + CELL_GAP)
        if cell.pixels is None:
            draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), outline=MUTED_COLOR)
        else:
            whole.paste(Image.fromarray(cell.pixels).resize(size, Image.Resampling.LANCZOS), (left, top))
        baseline = top + size[1] + 22
        draw.text((left, baseline), _remove_accents(cell.title), TEXT_COLOR, title, anchor="ls")
        draw.text((left + size[0], baseline), _remove_accents(cell.note), MUTED_COLOR, note, anchor="rs")
    return np.asarray(whole)


def _remove_accents(text: str) -> str:
    """Return a text without accents, for which Pillow's own font has no letters."""
    return "".join(one for one in unicodedata.normalize("NFKD", text) if not unicodedata.combining(one))
