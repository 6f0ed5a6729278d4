"""The quarantine: copies of files that were refused, each beside the reason, for the operator to look at."""

import os
import shutil
import stat
import time
from pathlib import Path

#: Name of the quarantine in the data folder.
QUARANTINE_FOLDER = "quarantine"

#: What the name of a reason ends with.
_REASON_SUFFIX = ".reason.txt"

#: Bytes of the largest file that is copied: somebody's film is not worth filling the disk for.
MAX_COPY_BYTES = 300_000_000

#: File systems allow 255 bytes for a name; this leaves room for what is added and for letters of four bytes.
_MAX_NAME_CHARACTERS = 50


def make_printable(path: Path) -> str:
    """Return a file's name as it can be logged, shown and stored: printable, one line, valid Unicode."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name)


def quarantine_file(path: Path, photo_id: str, reason: str, data_folder: Path) -> Path:
    """Copy a refused file into the quarantine of a data folder, with its reason; the original stays as it is.

    The same file refused again replaces its copy; of a link only the reason is kept. Returns where the reason is.
    Raises OSError where the data folder cannot be written.
    """
    folder = data_folder / QUARANTINE_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(letter if letter.isalnum() or letter in "-_. ()" else "_" for letter in make_printable(path))
    copy = folder / f"{photo_id[:8] or 'unread'}-{safe[-_MAX_NAME_CHARACTERS:]}"
    _copy_readable(path, copy)
    note = copy.with_name(copy.name + _REASON_SUFFIX)
    note.write_text(f"{make_printable(path)} {reason}.\n", encoding="utf-8")
    return note


def _copy_readable(path: Path, copy: Path) -> None:
    """Copy a file as far as it can be read: it may be gone, or lie on a damaged card; the reason is what matters.

    Raises OSError where the copy cannot be written, and only then.
    """
    try:
        # Not what a link leads to, which may be no guest's at all; and a pipe would keep one waiting.
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        status = os.fstat(source)
        if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_COPY_BYTES:
            with copy.open("wb") as target:
                while piece := _read_chunk(source):
                    target.write(piece)
    finally:
        os.close(source)


def _read_chunk(source: int) -> bytes:
    try:
        return os.read(source, 1 << 20)
    except OSError:
        return b""


def list_quarantined(data_folder: Path) -> list[tuple[Path, str]]:
    """List what the quarantine of a data folder holds, newest first: where each reason is, and its text."""
    notes = sorted(
        (data_folder / QUARANTINE_FOLDER).glob(f"*{_REASON_SUFFIX}"),
        key=lambda note: note.stat().st_mtime,
        reverse=True,
    )
    return [(note, note.read_text(encoding="utf-8").strip()) for note in notes]


def restore_to_inbox(reason_file: Path, inbox: Path) -> Path:
    """Put a file that was set aside into the inbox for another try, and return its path there. Raises OSError.

    It gets a name of its own: the file that was refused may still be there.
    """
    copy = reason_file.with_name(reason_file.name.removesuffix(_REASON_SUFFIX))
    target = inbox / f"{copy.stem}-again-{time.time_ns() // 1_000_000:x}{copy.suffix}"
    draft = target.with_name(f".{target.name}.part")
    shutil.copyfile(copy, draft)
    draft.replace(target)  # appears whole
    reason_file.unlink(missing_ok=True)
    copy.unlink(missing_ok=True)
    return target
