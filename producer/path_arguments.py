"""Path arguments: expand files, folders, patterns and lists of paths into single files."""

import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from producer.detection.watched_folder import is_ignored
from shared.errors import ArtDreamError

#: Argument that reads paths from standard input.
STDIN_ARGUMENT = "-"


def expand_path_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    """Yield every file that the arguments name, each once, in the order of the arguments; in a folder sorted by name.

    An argument is a file; a folder, for all files in it and below that are not hidden or temporary; a pattern with `*`,
    `?`, `[…]` or `**`; a `.txt` file with a path in each line; or `-` for such lines on standard input. What is missing
    or cannot be read is yielded too, folders included, so that the caller can report it with the other refused files.
    Raises ArtDreamError for a pattern that is invalid or matches nothing, and for a list that cannot be read.
    """
    seen: set[Path] = set()
    for path in _expand_arguments(arguments):
        if (absolute := path.absolute()) not in seen:
            seen.add(absolute)
            yield path


def _expand_arguments(arguments: Iterable[str]) -> Iterator[Path]:
    for argument in arguments:
        path = _expand_home(argument)
        mode = _read_mode(path)
        if argument == STDIN_ARGUMENT:
            if isinstance(sys.stdin, io.TextIOWrapper):
                sys.stdin.reconfigure(errors="surrogateescape")  # File names are bytes, in any encoding.
            yield from _read_path_list(sys.stdin)
        elif stat.S_ISDIR(mode):
            yield from _walk_folder(path)
        elif path.suffix.lower() == ".txt" and stat.S_ISREG(mode):
            yield from _read_path_list(_read_lines(path))
        elif mode or not any(wildcard in argument for wildcard in "*?["):
            yield path
        else:
            yield from _match_pattern(argument)


def _expand_home(text: str) -> Path:
    """Return the path that a text names, with the home folder in place of `~` or `~user` at its beginning."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # No such user: `~IMG.jpg` is the name of a file.
        return Path(text)


def _read_mode(path: Path) -> int:
    """Return the mode of a file or folder, as in `stat`; 0 if nothing can be found at the path."""
    try:
        return path.stat().st_mode
    except (OSError, ValueError):  # ValueError: the path contains a NUL byte.
        return 0


def _walk_folder(folder: Path) -> Iterator[Path]:
    unreadable: list[OSError] = []
    for parent, folder_names, file_names in os.walk(folder, onerror=unreadable.append):
        folder_names[:] = sorted(name for name in folder_names if not is_ignored(name))
        for name in sorted(file_names):
            if not is_ignored(name):
                yield Path(parent, name)
    yield from (Path(error.filename) for error in unreadable)


def _read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file. Raises ArtDreamError if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            yield from lines
    except OSError as error:
        raise ArtDreamError(f"The list {path} cannot be read: {error.strerror}.") from error


def _read_path_list(lines: Iterable[str]) -> Iterator[Path]:
    for line in lines:
        if text := line.rstrip("\r\n"):
            yield from _expand_folder(_expand_home(text))


def _match_pattern(pattern: str) -> Iterator[Path]:
    expanded = _expand_home(pattern)
    try:
        found = sorted(
            path
            for path in Path(expanded.anchor).glob(str(expanded.relative_to(expanded.anchor)))
            if not is_ignored(path.name)
        )
    except (OSError, ValueError) as error:  # Such as `**.jpg`, which Python takes from 3.13 on.
        raise ArtDreamError(f"The pattern {pattern} cannot be used: {error}.") from error
    if not found:
        raise ArtDreamError(f"No file matches {pattern}.")
    for path in found:
        yield from _expand_folder(path)


def _expand_folder(path: Path) -> Iterator[Path]:
    """Yield the files in a folder and below; any other path as it is."""
    yield from _walk_folder(path) if stat.S_ISDIR(_read_mode(path)) else [path]
