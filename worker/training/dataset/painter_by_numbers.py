"""Painter by Numbers' table: what is known of each of its 103,250 works, and which of them are wanted."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError
from worker.training.dataset.artist_names import format_artist_name

#: A year in whatever was written for a date: "1889", "c.1912", "1910.0", "May 1889".
_YEAR = re.compile(r"(?<!\d)(1\d{3}|20\d{2})(?!\d)")


class Work(NamedTuple):
    """One work."""

    artist: str
    file: str
    style: str
    genre: str
    #: None where nobody wrote it.
    year: int | None


class WorkFilter(NamedTuple):
    """Which works count. Styles and genres are compared without case; an empty tuple wants them all."""

    styles: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    #: The first and last year; works without a year are out where either is said.
    since: int | None = None
    until: int | None = None

    def matches(self, work: Work) -> bool:
        """Tell whether a work counts."""
        dated = self.since is None and self.until is None
        if work.year is not None:
            dated = (self.since or work.year) <= work.year <= (self.until or work.year)
        return dated and _is_one_of(work.style, self.styles) and _is_one_of(work.genre, self.genres)


def read_works(path: Path) -> Iterator[Work]:
    """Read the works of a table that have an artist, one by one.

    Raises ArtDreamError where the table cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for row in csv.DictReader(lines):
                year = _YEAR.search(row["date"] or "")
                work = Work(
                    format_artist_name(row["artist"] or ""),
                    row["new_filename"],
                    (row["style"] or "").strip(),
                    (row["genre"] or "").strip(),
                    int(year[1]) if year else None,
                )
                if work.artist and work.file:
                    yield work
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtDreamError(f"The table {path} cannot be read: {error}.") from error
    except KeyError as error:
        raise ArtDreamError(
            f"The table {path} has no column {error}: it should be Painter by Numbers' all_data_info.csv."
        ) from None


def count_works(path: Path, work_filter: WorkFilter) -> dict[str, int]:
    """Count the wanted works of each artist. Raises what `read` raises."""
    return Counter(work.artist for work in read_works(path) if work_filter.matches(work))


def _is_one_of(value: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or value.casefold() in {one.casefold() for one in allowed}
