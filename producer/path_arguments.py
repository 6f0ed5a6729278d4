"""The selection: what a person means who names files, folders, patterns and lists of paths."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from producer.detection.watched_folder import is_ignored
from shared.errors import ArtDreamError

#: Reads the paths from standard input.
STDIN_ARGUMENT = "-"


def expand_path_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    """Yield every file that is meant, each once: as named, in a folder by name.

    A name may be a file; a folder, of which everything in it and below is meant that is not hidden or temporary; a
    pattern with `*`, `?`, `[…]` or `**`; a `.txt` file with a path in each line; or `-` for such lines on standard
    input. Raises ArtDreamError for a name that means nothing.
    """
    met: set[Path] = set()
    for path in _expand_arguments(arguments):
        if (name := path.absolute()) not in met:
            met.add(name)
            yield path


def _expand_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    for name in arguments:
        path = Path(name).expanduser()
        if name == STDIN_ARGUMENT:
            yield from _read_path_list(sys.stdin)
        elif path.is_dir():
            yield from _walk_folder(path)
        elif path.suffix.lower() == ".txt" and path.is_file():
            with path.open(encoding="utf-8", errors="surrogateescape") as lines:
                yield from _read_path_list(lines)
        elif path.exists() or not any(letter in name for letter in "*?["):
            yield path  # what does not exist is told beside the others
        else:
            yield from _match_pattern(name)


def _walk_folder(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not is_ignored(one))
        for file in sorted(files):
            if not is_ignored(file):
                yield Path(at, file)


def _read_path_list(lines: TextIO) -> Iterator[Path]:
    for line in lines:
        if text := line.rstrip("\r\n"):
            path = Path(text).expanduser()
            yield from _walk_folder(path) if path.is_dir() else [path]


def _match_pattern(pattern: str) -> Iterator[Path]:
    whole = Path(pattern).expanduser()
    found = sorted(
        path for path in Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))) if not is_ignored(path.name)
    )
    if not found:
        raise ArtDreamError(f"No file matches {pattern}.")
    for path in found:
        yield from _walk_folder(path) if path.is_dir() else [path]
