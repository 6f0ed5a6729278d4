"""The folder that guests' photos arrive in."""

import logging
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from producer.outbox.ledger import FileVersion
from shared.errors import ArtDreamError

logger = logging.getLogger(__name__)

#: Endings under which browsers, AirDrop and copying programs write what is not yet whole.
TEMPORARY_SUFFIXES = (".crdownload", ".download", ".filepart", ".opdownload", ".part", ".partial", ".temp", ".tmp", "~")

#: Event types that only tell that somebody reads; the producer itself does.
_READ_EVENT_TYPES = {"opened", "closed_no_write"}


def is_ignored(name: str) -> bool:
    """Tell whether a file is hidden, or temporary by its name."""
    return name.startswith((".", "~$")) or name.lower().endswith(TEMPORARY_SUFFIXES)


class WatchedFolder(FileSystemEventHandler):
    """The top level of one folder. Use it as a context manager to be told of changes."""

    def __init__(self, path: Path, changed: threading.Event, *, recursive: bool = False) -> None:
        """`changed`: set whenever something happened in the folder, or where `recursive` below it; cleared by whoever
        waits for it.

        Raises ArtDreamError where there is no such folder, or it may not be read."""
        self.path = path.absolute()
        self._changed = changed
        self._recursive = recursive
        self._observer = Observer()
        self._unavailable = False
        try:
            os.scandir(self.path).close()
        except FileNotFoundError:
            raise ArtDreamError(f"There is no folder {path}: create it, or name another one with --inbox.") from None
        except NotADirectoryError:
            raise ArtDreamError(f"{path} is not a folder: name one with --inbox.") from None
        except OSError as error:
            raise ArtDreamError(f"The folder {path} cannot be read: {error.strerror}.") from error

    def __enter__(self) -> Self:
        """Begin to listen for changes."""
        try:
            self._observer.schedule(self, str(self.path), recursive=self._recursive)
            self._observer.start()
        except OSError as error:  # Linux has few inotify watches to give
            logger.warning("Changes in %s are not reported (%s); it is looked at every few seconds.", self.path, error)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no longer."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake who waits. Which file it was is not asked: events get lost (watchdog #124), a look never misses one."""
        if event.event_type not in _READ_EVENT_TYPES:
            self._changed.set()

    def list_files(self) -> dict[Path, FileVersion]:
        """Return every file that may be a photo, oldest first. None while the folder is away, which is logged once."""
        try:
            found = [file for place in self.list_folders() for file in _scan_files(place)]
        except OSError as error:
            if not self._unavailable:
                logger.warning("The folder %s is away (%s); waiting for it.", self.path, error.strerror)
            self._unavailable = True
            return {}
        if self._unavailable:
            logger.warning("The folder %s is back.", self.path)
            self._unavailable = False
        return {path: mark for _, path, mark in sorted(found)}

    def list_folders(self) -> list[Path]:
        """List the folders that photos lie in."""
        return [self.path]


def _scan_files(folder: Path) -> Iterator[tuple[int, Path, FileVersion]]:
    """Yield time of change, path and state of every file that may be a photo. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_ignored(entry.name):
                continue
            try:
                status = entry.stat()
            except OSError:  # gone, or a link to nowhere
                continue
            if stat.S_ISREG(status.st_mode):
                yield status.st_mtime_ns, folder / entry.name, FileVersion.from_stat(status)
