"""The quarantine: copies of rejected files, each with its reason, for the operator to review."""

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from shared.private_folder import create_private_folder

#: Name of the quarantine folder inside the data folder.
QUARANTINE_FOLDER = "quarantine"

#: Suffix that makes the name of the reason file from the name of the copy.
_REASON_SUFFIX = ".reason.txt"

#: Bytes of the largest file that is copied, so that somebody's film does not fill the disk.
MAX_COPY_BYTES = 300_000_000

#: Files, and their bytes, that the quarantine keeps; the oldest make room for others.
MAX_QUARANTINED_FILES, MAX_QUARANTINED_BYTES = 1000, 1_000_000_000

#: Bytes of the disk that copies leave free: the photos that wait in the outbox, and the ledger, are more important.
MIN_FREE_BYTES = 500_000_000

#: File systems allow 255 bytes for a name; this leaves room for prefix and suffix, and for characters of four bytes.
_MAX_NAME_CHARACTERS = 50


def make_printable(path: Path) -> str:
    """Return a file's name on one line of valid, printable Unicode, for logs and display."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name)


def quarantine_file(path: Path, photo_id: str, reason: str, data_folder: Path) -> Path:
    """Copy a rejected file into the quarantine, with its reason, and return the path of the reason file.

    The original is not changed. If the same file is rejected again, its copy is replaced; a symbolic link is not
    copied. The oldest copies make room for this one. If the disk has too little space for a copy, the reason says so,
    and no part of it is kept. photo_id: "" if the file could not be read. Raises OSError if the reason cannot be
    written.
    """
    folder = create_private_folder(data_folder / QUARANTINE_FOLDER)
    safe_name = "".join(letter if letter.isalnum() or letter in "-_. ()" else "_" for letter in make_printable(path))
    copy = folder / f"{photo_id[:8] or 'unread'}-{safe_name[-_MAX_NAME_CHARACTERS:]}"
    reason_file = copy.with_name(copy.name + _REASON_SUFFIX)
    text = f"{make_printable(path)} {reason}."
    try:
        _copy_readable(path, copy)
    except OSError as error:
        copy.unlink(missing_ok=True)
        text += f" No copy of it could be kept: {(error.strerror or type(error).__name__).lower()}."
    reason_file.write_text(text + "\n", encoding="utf-8")
    return reason_file


def _make_room(copy: Path, copy_bytes: int) -> None:
    """Remove the oldest files, so that the limits hold with one more. Raises OSError if the disk has too little space.

    copy, copy_bytes: the copy that is to be written, whatever its size.
    """
    total_bytes = copy_bytes
    reason_files = [reason_file for reason_file in _list_reason_files(copy.parent) if _find_copy(reason_file) != copy]
    for count, reason_file in enumerate(reason_files, start=1):
        older_copy = _find_copy(reason_file)
        with contextlib.suppress(OSError):  # It has no copy, or the operator has just removed it.
            total_bytes += older_copy.stat().st_size
        if count >= MAX_QUARANTINED_FILES or total_bytes > MAX_QUARANTINED_BYTES:
            reason_file.unlink(missing_ok=True)
            older_copy.unlink(missing_ok=True)
    if copy_bytes and shutil.disk_usage(copy.parent).free - copy_bytes < MIN_FREE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _list_reason_files(folder: Path) -> list[Path]:
    """Return the reason files, newest first."""
    modified = list[tuple[float, Path]]()
    for reason_file in folder.glob(f"*{_REASON_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):  # It has just been moved back, or has made room.
            modified.append((reason_file.stat().st_mtime, reason_file))
    return [reason_file for _, reason_file in sorted(modified, reverse=True)]


def _find_copy(reason_file: Path) -> Path:
    return reason_file.with_name(reason_file.name.removesuffix(_REASON_SUFFIX))


def _copy_readable(path: Path, copy: Path) -> None:
    """Copy as much of a file as can be read; it may be gone, or be on a damaged card.

    Raises OSError only if the copy cannot be written; a part of it may be left then.
    """
    with _open_regular(path) as (source, size):
        _make_room(copy, size)
        if source is not None:
            with copy.open("wb") as target:
                while chunk := _read_chunk(source):
                    target.write(chunk)


@contextlib.contextmanager
def _open_regular(path: Path) -> Iterator[tuple[int | None, int]]:
    """Yield a descriptor and the size in bytes of a file; None and 0 if it is not one that is copied."""
    try:
        # Do not follow a link, whose target may not be a guest's file at all, nor block on a pipe.
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None, 0
        return
    try:
        status = os.fstat(source)
        is_copied = stat.S_ISREG(status.st_mode) and status.st_size <= MAX_COPY_BYTES
        yield (source, status.st_size) if is_copied else (None, 0)
    finally:
        os.close(source)


def _read_chunk(source: int) -> bytes:
    try:
        return os.read(source, 1 << 20)
    except OSError:
        return b""


def list_quarantined(data_folder: Path) -> list[tuple[Path, str]]:
    """Return the path and the text of every reason file in the quarantine, newest first."""
    reasons = list[tuple[Path, str]]()
    for reason_file in _list_reason_files(data_folder / QUARANTINE_FOLDER):
        with contextlib.suppress(FileNotFoundError):
            reasons.append((reason_file, reason_file.read_text(encoding="utf-8").strip()))
    return reasons


def restore_to_inbox(reason_file: Path, inbox: Path) -> Path:
    """Move a quarantined file back to the inbox, for another attempt, and return its path there. Raises OSError.

    It gets a new name, because the rejected original may still be in the inbox.
    """
    copy = _find_copy(reason_file)
    target = inbox / f"{copy.stem}-again-{time.time_ns() // 1_000_000:x}{copy.suffix}"
    partial_file = target.with_name(f".{target.name}.part")
    shutil.copyfile(copy, partial_file)
    partial_file.replace(target)  # atomic, so the producer never sees an incomplete file
    reason_file.unlink(missing_ok=True)
    copy.unlink(missing_ok=True)
    return target
