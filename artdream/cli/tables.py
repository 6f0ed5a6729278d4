"""Tables on the terminal, readable on 80 columns: no text is cut off or taken for markup."""

import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, RenderableType
from rich.style import StyleType
from rich.table import Column, Table
from rich.text import Text

#: Spaces before a note, and the least width of one, however narrow the terminal is.
_INDENT, _MIN_NOTE_WIDTH = "  ", 20


class PlainTable(Table):
    """A table without lines. If it is too wide, texts are folded, those of columns with `no_wrap` last."""

    def __init__(self, *columns: str | Column, numbers: Sequence[str] = (), gap: int = 2) -> None:
        """numbers: columns that follow, aligned to the right. gap: spaces between two columns."""
        super().__init__(box=None, header_style="dim", padding=(0, gap, 0, 0), pad_edge=False)
        for column in (*columns, *(Column(header, justify="right") for header in numbers)):
            declared = Column(column) if isinstance(column, str) else column
            self.add_column(declared.header, overflow="fold", justify=declared.justify, no_wrap=declared.no_wrap)

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        """Add a row. Strings are shown as they are."""
        shown = (Text(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, style=style, end_section=end_section)


def print_with_notes(
    columns: Sequence[str], rows: Iterable[tuple[Sequence[str], str]], console: Console, *, gap: int = 2
) -> None:
    """Print rows of cells, below each its note, "" for none. Texts of different lengths belong in the last column."""
    listed = [(columns, ""), *rows]
    widths = [max(map(cell_len, cells)) for cells in zip(*(cells for cells, _ in listed), strict=True)]
    for number, (cells, note) in enumerate(listed):
        line = (" " * gap).join(set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=True))
        console.print(line.rstrip(), style=None if number else "dim", markup=False, soft_wrap=True)
        width = max(_MIN_NOTE_WIDTH, console.width - len(_INDENT))
        for part in textwrap.wrap(note, width, break_long_words=False, break_on_hyphens=False):
            console.print(_INDENT + part, markup=False, soft_wrap=True)
