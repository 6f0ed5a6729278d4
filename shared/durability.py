"""Durability: have the disk write what a program wrote, so that a power cut cannot lose it."""

import contextlib
import fcntl
import os
from pathlib import Path


def flush_file(descriptor: int) -> None:
    """Return when the disk has written the content of an open file, or the names in an open folder. Raises OSError."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # On macOS fsync leaves it in the cache of the drive.
        with contextlib.suppress(OSError):  # Not every file system has it.
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_path(path: Path) -> None:
    """Return when the disk has written the content of a file, or the names in a folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush_file(descriptor)
    finally:
        os.close(descriptor)
