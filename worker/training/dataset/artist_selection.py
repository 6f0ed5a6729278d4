"""The artist selection: a table of the artists to keep, which is edited in a spreadsheet and merged again."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError

COLUMNS = ("artist", "works", "keep", "note")

YES_VALUES = frozenset({"yes", "y", "true", "1", "x"})
NO_VALUES = frozenset({"no", "n", "false", "0"})


class SelectionRow(NamedTuple):
    """The decision on an artist."""

    artist: str
    works: int
    keep: bool
    note: str = ""


def read_selection(path: Path) -> list[SelectionRow]:
    """Read a selection in any form that spreadsheets write: any separator, column order, and spelling of yes and no.

    Raises ArtDreamError if the file cannot be read, or that names the invalid line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtDreamError(f"The breakdown {path} cannot be read ({error}): save it as CSV in UTF-8.") from error
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator)
    columns = {(name or "").strip().casefold(): name for name in reader.fieldnames or ()}
    if missing := [name for name in ("artist", "keep") if name not in columns]:
        raise ArtDreamError(f"The breakdown {path} has no column “{missing[0]}”: `artdream dataset select` makes one.")
    selection = []
    for row in reader:
        artist, keep = ((row[columns[name]] or "").strip() for name in ("artist", "keep"))
        if not artist:
            continue
        if keep.casefold() not in YES_VALUES | NO_VALUES:
            raise ArtDreamError(f"The breakdown {path}, line {reader.line_num}: “{keep}” is neither yes nor no.")
        works = (row[columns["works"]] or "").strip() if "works" in columns else ""
        note = (row[columns["note"]] or "").strip() if "note" in columns else ""
        selection.append(
            SelectionRow(artist, int(works) if works.isdecimal() else 0, keep.casefold() in YES_VALUES, note)
        )
    return selection


def merge_selection(existing: Sequence[SelectionRow], works: Mapping[str, int], min_works: int) -> list[SelectionRow]:
    """Merge new counts into a selection: artists sorted by number of works, with existing decisions and notes.

    works: artist → number of works that match the filters. min_works: a new artist with at least this number is kept.
    Artists without matching works stay in the selection, with 0, for their notes.
    """
    existing_rows = {row.artist: row for row in existing}
    rows = []
    for artist in {**works, **existing_rows}:
        count, row = works.get(artist, 0), existing_rows.get(artist)
        rows.append(row._replace(works=count) if row else SelectionRow(artist, count, keep=count >= min_works))
    return sorted(rows, key=lambda row: (-row.works, row.artist))


def write_selection(path: Path, lines: Sequence[SelectionRow]) -> None:
    """Write a selection as CSV that spreadsheets read as UTF-8. Raises ArtDreamError if it cannot be written."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.artist, row.works, "yes" if row.keep else "no", row.note) for row in lines)
    temporary_file = path.with_name(f".{path.name}.part")
    try:
        temporary_file.write_text(buffer.getvalue(), encoding="utf-8-sig")
        temporary_file.replace(path)
    except OSError as error:
        raise ArtDreamError(f"The breakdown {path} cannot be written: {error.strerror}.") from error


def read_kept_artists(path: Path) -> list[str]:
    """Return the artists that a selection keeps. Raises ArtDreamError if it cannot be read, or keeps none."""
    artists = [row.artist for row in read_selection(path) if row.keep]
    if not artists:
        raise ArtDreamError(f"The breakdown {path} keeps nobody: say yes in its column “keep”.")
    return artists
