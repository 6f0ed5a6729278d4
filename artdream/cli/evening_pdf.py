"""`artdream contact-sheet`: a PDF of all visible dreams of an evening, each beside its photo, to be printed."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import MofNCompleteColumn, TimeRemainingColumn

from artdream.cli.evening import Evening, choose_titles
from artdream.cli.options import UsageError, require_folder
from artdream.cli.pdf_writer import A4, PdfWriter
from artdream.cli.progress import show_progress_bars
from shared.colors import ensure_contrast, parse_color
from shared.errors import ArtDreamError
from shared.provenance.statement import Statement
from shared.recipe.canvas import scale_to_long_side
from worker.clips.dream_pictures import EveningDream, UnusablePicture, load_photo, load_picture
from worker.clips.framing import Box, fit_into

#: Dreams on a page.
COLUMNS, ROWS = 2, 4

#: Points: edge of the page, height of header and footer, gaps between cells and within one, height of a caption.
_EDGE, _HEADER, _FOOTER, _GAP, _PAIR_GAP, _CAPTION = 40.0, 44.0, 26.0, 18.0, 5.0, 20.0

#: Dots per inch of the pictures: as many as prints show at this size, and a page has about half a megabyte.
_DPI = 220

#: Paper, letters and letters of less weight.
_PAPER, _INK, _MUTED = "#ffffff", (33, 29, 24), (101, 92, 80)


def make_contact_sheet(
    evening: Evening, target: Path, console: Console, *, title: str | None, subtitle: str | None, font: Path
) -> None:
    """Write the contact sheet of an evening to `target`, a PDF of A4 pages. Holds one picture in memory at a time.

    title, subtitle: by default the event's. Raises ArtDreamError if there is no dream or the file cannot be written,
    and StoreError.
    """
    if target.suffix.lower() != ".pdf":
        raise UsageError(f"The contact sheet is a PDF: end {target} with .pdf.")
    require_folder(target)
    dreams = evening.list_dreams()
    title, subtitle = choose_titles(evening, title, subtitle, dreams)
    accent = parse_color(ensure_contrast(evening.appearance.colors.accent, _PAPER))
    shown: list[EveningDream] = []
    try:
        with (
            closing(PdfWriter(font)) as pdf,
            show_progress_bars(console, MofNCompleteColumn(), TimeRemainingColumn()) as progress,
        ):
            pdf.require_letters(title + subtitle)
            task = progress.add_task("contact sheet", total=len(dreams))
            for dream in dreams:
                progress.advance(task)
                try:
                    pictures = load_photo(evening.store, dream), load_picture(evening.store, dream.dream)
                except UnusablePicture as error:
                    progress.console.print(f"A dream is left out: {error}", soft_wrap=True, markup=False)
                    continue
                page, cell = divmod(len(shown), COLUMNS * ROWS)
                if cell == 0:
                    pdf.begin_page()
                    _draw_header(pdf, title, subtitle, accent)
                    pdf.draw_text(f"{page + 1}", (A4[0] / 2, _EDGE), 8.5, _MUTED, align="center")
                _draw_cell(pdf, dream, pictures, cell)
                shown.append(dream)
            if not shown:
                raise ArtDreamError("No picture of the evening can be used.")
            pdf.save(target, Statement.of_collection(title))
    except OSError as error:
        raise ArtDreamError(f"{target} cannot be written: {error.strerror or error}.") from error
    megabytes = target.stat().st_size / 1e6
    page_count = -(-len(shown) // (COLUMNS * ROWS))
    console.print(
        f"{target}: {len(shown)} dreams on {page_count} pages, {megabytes:.1f} MB.", soft_wrap=True, markup=False
    )


def _draw_header(pdf: PdfWriter, title: str, subtitle: str, accent: tuple[int, int, int]) -> None:
    width, top = A4[0] - 2 * _EDGE, A4[1] - _EDGE
    pdf.draw_text(title, (_EDGE, top - 14), 19, _INK, max_width=0.62 * width)
    pdf.draw_text(subtitle, (A4[0] - _EDGE, top - 14), 10, _MUTED, align="right", max_width=0.34 * width)
    pdf.draw_line((_EDGE, top - 24.6, A4[0] - _EDGE, top - 24), accent)


def _draw_cell(pdf: PdfWriter, dream: EveningDream, pictures: Sequence[Image.Image], cell: int) -> None:
    """Draw photo and dream side by side, and below them the title and the time of day."""
    width = (A4[0] - 2 * _EDGE - (COLUMNS - 1) * _GAP) / COLUMNS
    height = (A4[1] - 2 * _EDGE - _HEADER - _FOOTER - (ROWS - 1) * _GAP) / ROWS
    row, column = divmod(cell, COLUMNS)
    left, upper = _EDGE + column * (width + _GAP), A4[1] - _EDGE - _HEADER - row * (height + _GAP)
    place = Box(0, 0, round((width - _PAIR_GAP) / 2), round(height - _CAPTION))
    lower, right = upper - place.lower, left  # the pictures stand on the caption, the dream next to its photo
    for picture in pictures:
        fitted = fit_into(picture.width, picture.height, place)
        box_width, box_height = fitted.right - fitted.left, fitted.lower - fitted.upper
        pixels = scale_to_long_side(*picture.size, max(1, round(max(box_width, box_height) * _DPI / 72)))
        scaled = picture.resize(pixels, Image.Resampling.LANCZOS) if pixels.width < picture.width else picture
        pdf.draw_picture(scaled, (right, lower, right + box_width, lower + box_height))
        right += box_width + _PAIR_GAP
    right -= _PAIR_GAP
    pdf.draw_text(dream.title, (left, lower - 12), 9.5, _INK, max_width=0.75 * (right - left))
    clock = time.strftime("%H:%M", time.localtime(dream.completed_at))
    pdf.draw_text(clock, (right, lower - 12), 8.5, _MUTED, align="right")
