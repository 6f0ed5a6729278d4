"""Path arguments: expand files, folders, patterns and lists of paths into single files."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from producer.detection.watched_folder import is_ignored
from shared.errors import ArtDreamError

#: Argument that reads paths from standard input.
STDIN_ARGUMENT = "-"


def expand_path_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    """Yield every file that the arguments name, each once, in the order of the arguments; in a folder sorted by name.

    An argument is a file; a folder, for all files in it and below that are not hidden or temporary; a pattern with `*`,
    `?`, `[…]` or `**`; a `.txt` file with a path in each line; or `-` for such lines on standard input. Missing files
    are yielded too. Raises ArtDreamError for a pattern that matches nothing.
    """
    seen: set[Path] = set()
    for path in _expand_arguments(arguments):
        if (absolute := path.absolute()) not in seen:
            seen.add(absolute)
            yield path


def _expand_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    for argument in arguments:
        path = Path(argument).expanduser()
        if argument == STDIN_ARGUMENT:
            yield from _read_path_list(sys.stdin)
        elif path.is_dir():
            yield from _walk_folder(path)
        elif path.suffix.lower() == ".txt" and path.is_file():
            with path.open(encoding="utf-8", errors="surrogateescape") as lines:
                yield from _read_path_list(lines)
        elif path.exists() or not any(wildcard in argument for wildcard in "*?["):
            yield path  # The caller reports a missing file together with the other refused ones.
        else:
            yield from _match_pattern(argument)


def _walk_folder(folder: Path) -> Iterator[Path]:
    for parent, folder_names, file_names in os.walk(folder):
        folder_names[:] = sorted(name for name in folder_names if not is_ignored(name))
        for name in sorted(file_names):
            if not is_ignored(name):
                yield Path(parent, name)


def _read_path_list(lines: TextIO) -> Iterator[Path]:
    for line in lines:
        if text := line.rstrip("\r\n"):
            path = Path(text).expanduser()
            yield from _walk_folder(path) if path.is_dir() else [path]


def _match_pattern(pattern: str) -> Iterator[Path]:
    expanded = Path(pattern).expanduser()
    found = sorted(
        path
        for path in Path(expanded.anchor).glob(str(expanded.relative_to(expanded.anchor)))
        if not is_ignored(path.name)
    )
    if not found:
        raise ArtDreamError(f"No file matches {pattern}.")
    for path in found:
        yield from _walk_folder(path) if path.is_dir() else [path]
