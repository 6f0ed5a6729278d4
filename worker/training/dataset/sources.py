"""Sources: the ways in which paintings come, and whose each of them is."""

import csv
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError
from worker.training.dataset.artist_names import plain_name
from worker.training.dataset.dataset import SUFFIXES
from worker.training.dataset.painter_by_numbers import Wanted, read

#: `Artist_Name_12.jpg`.
_NUMBERED = re.compile(r"(?P<artist>.*\D)_\d+")


class Found(NamedTuple):
    """A picture and whose it is."""

    path: Path
    artist: str


def find(
    source: Path,
    table: Path | None = None,
    wanted: Wanted | None = None,
    keep: Collection[str] | None = None,
    names: Mapping[str, str] | None = None,
) -> list[Found]:
    """Find the paintings in a folder, by path.

    With a table, as Painter by Numbers has one, the files are those that it names; wanted: which of its works count.
    Otherwise they lie in one folder for each artist, or are called `Artist_Name_12.jpg`. keep: artists that are wanted,
    None for all. names: how artists are called, by their folders' names. Raises ArtDreamError where the folder is none
    of these.
    """
    if not source.is_dir():
        raise ArtDreamError(f"There is no folder {source}.")
    found = _by_table(source, table, wanted) if table else _by_folder(source) or _by_name(source)
    if not found:
        raise ArtDreamError(
            f"No paintings were found in {source}: it should have one folder for each artist, or files called "
            "Artist_Name_12.jpg, or come with a table (--table all_data_info.csv)."
        )
    if names:
        found = [one._replace(artist=names.get(one.artist, one.artist)) for one in found]
    kept = None if keep is None else {plain_name(name) for name in keep}
    return sorted(one for one in found if kept is None or plain_name(one.artist) in kept)


def read_names(path: Path) -> dict[str, str]:
    """Read how artists are called from a table with the columns folder and name. Raises ArtDreamError without them."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return {plain_name(row["folder"]): plain_name(row["name"]) for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtDreamError(f"The names {path} cannot be read: {error}.") from error
    except KeyError as error:
        raise ArtDreamError(f"The names {path} have no column {error}: folder and name are wanted.") from None


def _by_table(source: Path, table: Path, wanted: Wanted | None) -> list[Found]:
    files = {path.name: path for path in _pictures(source)}
    works = (work for work in read(table) if wanted is None or wanted.wants(work))
    return [Found(files[work.file], work.artist) for work in works if work.file in files]


def _by_folder(source: Path) -> list[Found]:
    folders = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [Found(path, plain_name(folder.name)) for folder in folders for path in _pictures(folder)]


def _by_name(source: Path) -> list[Found]:
    named = ((path, _NUMBERED.fullmatch(path.stem)) for path in _pictures(source))
    return [Found(path, plain_name(fitting["artist"])) for path, fitting in named if fitting]


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
