"""Contact sheets: pictures in rows with captions."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from shared.errors import ArtDreamError

#: Pixels: width of a cell, gap between cells, height of a caption.
CELL_WIDTH, CELL_GAP, CAPTION_HEIGHT = 360, 12, 34

COLUMNS = 5

BACKGROUND_COLOR, TEXT_COLOR, MUTED_COLOR = (250, 249, 246), (32, 32, 30), (130, 128, 122)


class Cell(NamedTuple):
    """A picture with its caption: a title on the left and a note on the right."""

    title: str
    note: str
    #: RGB, (height, width, 3); None for an empty cell.
    pixels: NDArray[np.uint8] | None


def draw_contact_sheet(cells: Sequence[Cell], columns: int = COLUMNS) -> NDArray[np.uint8]:
    """Draw cells row by row, all with the aspect ratio of the first. Returns RGB of shape (height, width, 3).

    Raises ValueError if the first cell has no picture.
    """
    first_pixels = cells[0].pixels
    if first_pixels is None:
        raise ValueError("The first cell has no picture to take the aspect of.")
    size = CELL_WIDTH, round(CELL_WIDTH * first_pixels.shape[0] / first_pixels.shape[1])
    rows = -(-len(cells) // columns)
    sheet = Image.new(
        "RGB",
        (columns * (CELL_WIDTH + CELL_GAP) + CELL_GAP, rows * (size[1] + CAPTION_HEIGHT + CELL_GAP) + CELL_GAP),
        BACKGROUND_COLOR,
    )
    draw = ImageDraw.Draw(sheet)
    title_font, note_font = ImageFont.load_default(17), ImageFont.load_default(13)
    for index, cell in enumerate(cells):
        left = CELL_GAP + index % columns * (CELL_WIDTH + CELL_GAP)
        top = CELL_GAP + index // columns * (size[1] + CAPTION_HEIGHT + CELL_GAP)
        if cell.pixels is None:
            draw.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), outline=MUTED_COLOR)
        else:
            sheet.paste(Image.fromarray(cell.pixels).resize(size, Image.Resampling.LANCZOS), (left, top))
        baseline = top + size[1] + 22
        draw.text((left, baseline), _remove_accents(cell.title), TEXT_COLOR, title_font, anchor="ls")
        draw.text((left + size[0], baseline), _remove_accents(cell.note), MUTED_COLOR, note_font, anchor="rs")
    return np.asarray(sheet)


def save_contact_sheet(cells: Sequence[tuple[str, str, Path | None]], target: Path, columns: int = COLUMNS) -> None:
    """Save a contact sheet of square sections of picture files, as JPEG or PNG.

    cells: title, note and file of each; None: an empty cell. Raises ArtDreamError if the file cannot be written.
    """

    def open_square(path: Path | None) -> NDArray[np.uint8] | None:
        if path is None:
            return None
        with Image.open(path) as picture:
            return np.asarray(ImageOps.fit(picture.convert("RGB"), (CELL_WIDTH, CELL_WIDTH)))

    drawn = [Cell(title, note, open_square(path)) for title, note, path in cells]
    write_contact_sheet(draw_contact_sheet(drawn, columns), target)


def write_contact_sheet(pixels: NDArray[np.uint8], target: Path) -> None:
    """Write a drawn contact sheet as JPEG or PNG. Raises ArtDreamError if the file cannot be written."""
    try:
        Image.fromarray(pixels).save(target)
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror or error}.") from error


def _remove_accents(text: str) -> str:
    """Return a text without accents: Pillow's built-in font has no accented letters."""
    return "".join(
        character for character in unicodedata.normalize("NFKD", text) if not unicodedata.combining(character)
    )
