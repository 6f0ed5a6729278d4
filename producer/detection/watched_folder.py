"""Watched folders: list the possible photos in a folder, and report changes in it."""

import logging
import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from producer.detection.companions import is_companion
from producer.ledger import FileVersion
from shared.errors import ArtDreamError

logger = logging.getLogger(__name__)

#: Suffixes that browsers, AirDrop and copying programs use for incomplete files.
TEMPORARY_SUFFIXES = (".crdownload", ".download", ".filepart", ".opdownload", ".part", ".partial", ".temp", ".tmp", "~")

#: Files that Finder (its icon of the folder) and Windows' Explorer keep in a folder without a dot before their names.
DESKTOP_FILES = {"desktop.ini", "icon\r", "thumbs.db"}

#: Event types of mere reads, which the producer itself causes.
_READ_EVENT_TYPES = {"opened", "closed_no_write"}

#: Errors of watchdog if the system does not watch a folder; of FSEvents it raises the latter two.
_WATCH_ERRORS = (OSError, RuntimeError, SystemError)


def is_ignored(name: str) -> bool:
    """Return whether a file's name marks it as hidden, temporary, or part of a file manager."""
    lower = name.lower()
    return lower.startswith((".", "~$")) or lower.endswith(TEMPORARY_SUFFIXES) or lower in DESKTOP_FILES


class WatchedFolder(FileSystemEventHandler):
    """The top level of one folder. As a context manager, it reports changes."""

    def __init__(self, path: Path, changed: threading.Event, *, recursive: bool = False) -> None:
        """Check that the folder can be read.

        changed: set after each change in the folder; the waiting thread clears it. recursive: report changes in
        subfolders too. Raises ArtDreamError if the folder does not exist or cannot be read.
        """
        self.path = path.absolute()
        self._changed = changed
        # On macOS, watchdog would drop the events of subfolders by comparing paths, and with them all events of a
        # folder that was named in another case, or with its letters composed otherwise, than on the disk.
        self._recursive = recursive or sys.platform == "darwin"
        self._observer = Observer()
        #: The folder that is watched, by its device and inode; another one may take its name.
        self._watched_inode: tuple[int, int] | None = None
        self._unavailable = False
        self._unreadable_folders: set[Path] = set()
        try:
            os.scandir(self.path).close()
        except FileNotFoundError:
            raise ArtDreamError(f"There is no folder {path}: create it, or name another one with --inbox.") from None
        except NotADirectoryError:
            raise ArtDreamError(f"{path} is not a folder: name one with --inbox.") from None
        except OSError as error:
            raise ArtDreamError(f"The folder {path} cannot be read: {error.strerror}.") from error

    def __enter__(self) -> Self:
        """Start reporting changes. If the system refuses, only the periodic scans find them, which is logged."""
        try:
            self._schedule()
            self._observer.start()
        except _WATCH_ERRORS as error:
            self._warn_unreported(error)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reporting changes."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Set `changed`. The file is not passed on: events get lost (watchdog #124), a scan never misses a file."""
        if event.event_type not in _READ_EVENT_TYPES:
            self._changed.set()

    def list_files(self) -> dict[Path, FileVersion]:
        """Return every file that may be a photo, with its version, oldest first.

        Returns an empty dict while the folder is unavailable, which is logged once.
        """
        try:
            files = self.scan()
        except OSError as error:
            if not self._unavailable:
                logger.warning("The folder %s is unavailable (%s); waiting for it.", self.path, error.strerror)
            self._unavailable = True
            return {}
        if self._unavailable:
            logger.warning("The folder %s is back.", self.path)
            self._unavailable = False
        self._follow_folder()
        return files

    def _follow_folder(self) -> None:
        """Report changes in the folder that has the path now, if it is another one: a card was put in again."""
        try:
            if self._observer.is_alive() and _find_inode(self.path) != self._watched_inode:
                self._observer.unschedule_all()
                self._schedule()
        except _WATCH_ERRORS as error:
            self._warn_unreported(error)

    def _schedule(self) -> None:
        self._watched_inode = _find_inode(self.path)
        self._observer.schedule(self, str(self.path), recursive=self._recursive)

    def _warn_unreported(self, error: Exception) -> None:
        """Log that the system does not report changes: Linux and macOS limit the number of watches."""
        logger.warning("Changes in %s are not reported (%s); it is looked at every few seconds.", self.path, error)

    def scan(self) -> dict[Path, FileVersion]:
        """Return every file that may be a photo, with its version, oldest first.

        A folder below this one that cannot be read is left out, which is logged once. Raises OSError if this one, or
        the list of folders, cannot be read.
        """
        found = [file for folder in self.list_folders() for file in self._scan_folder(folder)]
        return {path: version for _, path, version in sorted(found)}

    def _scan_folder(self, folder: Path) -> list[tuple[int, Path, FileVersion]]:
        try:
            files = list(_scan_files(folder))
        except OSError as error:
            if folder == self.path:
                raise
            # A folder that was removed or replaced by a file is no fault.
            if not isinstance(error, FileNotFoundError | NotADirectoryError) and folder not in self._unreadable_folders:
                logger.warning("The folder %s is left out, as it cannot be read: %s.", folder, error.strerror)
                self._unreadable_folders.add(folder)
            return []
        if folder in self._unreadable_folders:
            logger.warning("The folder %s can be read again.", folder)
            self._unreadable_folders.remove(folder)
        return files

    def list_folders(self) -> list[Path]:
        """Return the folders that `list_files` scans. Subclasses override it."""
        return [self.path]


class InboxFolder(WatchedFolder):
    """The inbox and the folders in it: AirDrop delivers several files of one photo as a folder."""

    def __init__(self, path: Path, changed: threading.Event, data_folder: Path) -> None:
        """Check that the inbox can be read. data_folder: left alone, should it be in the inbox. See WatchedFolder."""
        super().__init__(path, changed, recursive=True)
        self._data_folder = data_folder.absolute()

    def list_folders(self) -> list[Path]:
        """Return the inbox and those folders in it that are not hidden. Raises OSError if the inbox cannot be read."""
        with os.scandir(self.path) as entries:
            folders = [self.path / entry.name for entry in entries if not is_ignored(entry.name) and _is_folder(entry)]
        return [self.path, *(folder for folder in folders if folder != self._data_folder)]


def _find_inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether an entry is a folder and no link; True if that is unknown, as reading it will report why."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return True


def _scan_files(folder: Path) -> Iterator[tuple[int, Path, FileVersion]]:
    """Yield modification time in ns, path and version of every file that may be a photo. Raises OSError."""
    with os.scandir(folder) as scan:
        entries = [entry for entry in scan if not is_ignored(entry.name)]
    names = {entry.name.lower() for entry in entries}
    for entry in entries:
        if is_companion(entry.name, names):
            continue
        try:
            status = entry.stat()
        except OSError:  # The file was removed, or is a broken link.
            continue
        if stat.S_ISREG(status.st_mode):
            yield status.st_mtime_ns, folder / entry.name, FileVersion.from_stat(status)
