"""The quarantine: copies of files that were refused, each beside the reason, for the operator to look at."""

import shutil
from pathlib import Path

#: Name of the quarantine in the data folder.
FOLDER = "quarantine"

#: Bytes of the largest file that is copied: somebody's film is not worth filling the disk for.
LARGEST = 300_000_000

#: File systems allow 255 bytes for a name; this leaves room for what is added and for letters of four bytes.
_LONGEST = 50


def shown(path: Path) -> str:
    """Return a file's name as it can be logged, shown and stored: printable, one line, valid Unicode."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name)


def set_aside(path: Path, photo_id: str, reason: str, data: Path) -> Path:
    """Copy a refused file into the quarantine of a data folder, with its reason; the original stays as it is.

    The same file refused again replaces its copy. Returns where the reason is. Raises OSError.
    """
    folder = data / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(letter if letter.isalnum() or letter in "-_. ()" else "_" for letter in shown(path))
    copy = folder / f"{photo_id[:8] or 'unread'}-{safe[-_LONGEST:]}"
    try:
        if path.stat().st_size <= LARGEST:
            shutil.copyfile(path, copy)
    except (FileNotFoundError, PermissionError):
        pass  # it may be gone by now, or was refused for just that; the reason is what matters
    note = copy.with_name(f"{copy.name}.reason.txt")
    note.write_text(f"{shown(path)} {reason}.\n", encoding="utf-8")
    return note
