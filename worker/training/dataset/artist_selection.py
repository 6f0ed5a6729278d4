"""The breakdown: which artists the maker wants, in a table that is edited in a spreadsheet and merged again."""

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
    """What is decided about an artist."""

    artist: str
    works: int
    keep: bool
    note: str = ""


def read_selection(path: Path) -> list[SelectionRow]:
    """Read a breakdown as whatever spreadsheet left it: any separator, order of columns, and way to say yes.

    Raises ArtDreamError that names the line at fault.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtDreamError(f"The breakdown {path} cannot be read ({error}): save it as CSV in UTF-8.") from error
    head = text.partition("\n")[0]
    separator = max(",;\t", key=head.count)
    rows = csv.DictReader(io.StringIO(text), delimiter=separator)
    names = {(name or "").strip().casefold(): name for name in rows.fieldnames or ()}
    if missing := [name for name in ("artist", "keep") if name not in names]:
        raise ArtDreamError(f"The breakdown {path} has no column “{missing[0]}”: `artdream dataset select` makes one.")
    lines = []
    for row in rows:
        artist, keep = ((row[names[name]] or "").strip() for name in ("artist", "keep"))
        if not artist:
            continue
        if keep.casefold() not in YES_VALUES | NO_VALUES:
            raise ArtDreamError(f"The breakdown {path}, line {rows.line_num}: “{keep}” is neither yes nor no.")
        works = (row[names["works"]] or "").strip() if "works" in names else ""
        note = (row[names["note"]] or "").strip() if "note" in names else ""
        lines.append(SelectionRow(artist, int(works) if works.isdecimal() else 0, keep.casefold() in YES_VALUES, note))
    return lines


def merge_selection(existing: Sequence[SelectionRow], works: Mapping[str, int], min_works: int) -> list[SelectionRow]:
    """Bring a breakdown up to date: artists by number of works, what the maker decided and noted kept.

    works: artist → works that the filters leave. minimum: works from which an artist that was not there before is
    kept. Artists whose works are all filtered out stay in it, with 0, for their notes.
    """
    known = {line.artist: line for line in existing}
    lines = []
    for artist in {**works, **known}:
        count, line = works.get(artist, 0), known.get(artist)
        lines.append(line._replace(works=count) if line else SelectionRow(artist, count, keep=count >= min_works))
    return sorted(lines, key=lambda line: (-line.works, line.artist))


def write_selection(path: Path, lines: Sequence[SelectionRow]) -> None:
    """Write a breakdown that spreadsheets open in the right letters. Raises ArtDreamError where it cannot be."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((line.artist, line.works, "yes" if line.keep else "no", line.note) for line in lines)
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(buffer.getvalue(), encoding="utf-8-sig")
        beside.replace(path)
    except OSError as error:
        raise ArtDreamError(f"The breakdown {path} cannot be written: {error.strerror}.") from error


def read_kept_artists(path: Path) -> list[str]:
    """Return the artists that a breakdown keeps. Raises ArtDreamError where it cannot be read or keeps none."""
    artists = [line.artist for line in read_selection(path) if line.keep]
    if not artists:
        raise ArtDreamError(f"The breakdown {path} keeps nobody: say yes in its column “keep”.")
    return artists
