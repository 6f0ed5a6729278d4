"""Read and filter Painter by Numbers' table of its 103,250 works."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError
from worker.training.dataset.artist_names import format_artist_name

#: Finds a year in a date written in any way: "1889", "c.1912", "1910.0", "May 1889".
_YEAR = re.compile(r"(?<!\d)(1\d{3}|20\d{2})(?!\d)")


class Work(NamedTuple):
    """A work in the table."""

    artist: str
    file: str
    style: str
    genre: str
    #: None if the table has no year.
    year: int | None


class WorkFilter(NamedTuple):
    """The conditions on a work. Styles and genres are compared without case; an empty tuple matches all."""

    styles: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    #: First and last year; if either is set, works without a year do not match.
    since: int | None = None
    until: int | None = None

    def matches(self, work: Work) -> bool:
        """Return whether a work meets all conditions."""
        in_period = self.since is None and self.until is None
        if work.year is not None:
            in_period = (self.since or work.year) <= work.year <= (self.until or work.year)
        return in_period and _is_one_of(work.style, self.styles) and _is_one_of(work.genre, self.genres)


def read_works(path: Path) -> Iterator[Work]:
    """Read the works of a table that have an artist and a file, one by one.

    Raises ArtDreamError if the table cannot be read, or a column is missing.
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
    """Return the number of matching works of each artist. Raises what `read_works` raises."""
    return Counter(work.artist for work in read_works(path) if work_filter.matches(work))


def _is_one_of(value: str, allowed: tuple[str, ...]) -> bool:
    return not allowed or value.casefold() in {name.casefold() for name in allowed}
