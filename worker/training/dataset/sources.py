"""Find pictures and their artists in the layouts in which collections of paintings come."""

import csv
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from shared.errors import ArtDreamError
from worker.training.dataset.artist_names import format_artist_name
from worker.training.dataset.dataset import PICTURE_SUFFIXES
from worker.training.dataset.painter_by_numbers import WorkFilter, read_works

#: Stem of a file such as `Artist_Name_12.jpg`.
_NUMBERED_FILE_NAME = re.compile(r"(?P<artist>.*\D)_\d+")


class SourcePicture(NamedTuple):
    """A picture file and its artist."""

    path: Path
    artist: str


def find_pictures(
    source: Path,
    table: Path | None = None,
    work_filter: WorkFilter | None = None,
    kept_artists: Collection[str] | None = None,
    artist_names: Mapping[str, str] | None = None,
) -> list[SourcePicture]:
    """Find the paintings in a folder, sorted by path.

    table: a table like that of Painter by Numbers; the pictures are the files in it, and work_filter selects among its
    works. Without a table, there is one folder for each artist, or the files are called `Artist_Name_12.jpg`.
    kept_artists: artists to keep; None: all. artist_names: names to use, by the names of the folders. Raises
    ArtDreamError if the folder is missing or has none of these layouts.
    """
    if not source.is_dir():
        raise ArtDreamError(f"There is no folder {source}.")
    found = (
        _find_by_table(source, table, work_filter) if table else _find_by_folder(source) or _find_by_file_name(source)
    )
    if not found:
        raise ArtDreamError(
            f"No paintings were found in {source}: it should have one folder for each artist, or files called "
            "Artist_Name_12.jpg, or come with a table (--table all_data_info.csv)."
        )
    if artist_names:
        found = [picture._replace(artist=artist_names.get(picture.artist, picture.artist)) for picture in found]
    kept_names = None if kept_artists is None else {format_artist_name(name) for name in kept_artists}
    return sorted(
        picture for picture in found if kept_names is None or format_artist_name(picture.artist) in kept_names
    )


def read_artist_names(path: Path) -> dict[str, str]:
    """Read artists' names by folder name, from a table with the columns folder and name.

    Raises ArtDreamError if the table cannot be read, or a column is missing.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return {format_artist_name(row["folder"]): format_artist_name(row["name"]) for row in csv.DictReader(lines)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ArtDreamError(f"The names {path} cannot be read: {error}.") from error
    except KeyError as error:
        raise ArtDreamError(f"The names {path} have no column {error}: folder and name are wanted.") from None


def _find_by_table(source: Path, table: Path, work_filter: WorkFilter | None) -> list[SourcePicture]:
    files = {path.name: path for path in _list_pictures(source)}
    works = (work for work in read_works(table) if work_filter is None or work_filter.matches(work))
    return [SourcePicture(files[work.file], work.artist) for work in works if work.file in files]


def _find_by_folder(source: Path) -> list[SourcePicture]:
    folders = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return [
        SourcePicture(path, format_artist_name(folder.name)) for folder in folders for path in _list_pictures(folder)
    ]


def _find_by_file_name(source: Path) -> list[SourcePicture]:
    matches = ((path, _NUMBERED_FILE_NAME.fullmatch(path.stem)) for path in _list_pictures(source))
    return [SourcePicture(path, format_artist_name(match["artist"])) for path, match in matches if match]


def _list_pictures(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    )
