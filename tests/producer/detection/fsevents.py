"""A double of macOS' FSEvents under watchdog's real observer, which filters and pairs what the system reports.

Flags and their combinations are those of FSEvents.h, CoreServices; the interface is that of watchdog's C extension.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any


class Flag(IntFlag):
    """The used flags of kFSEventStreamEventFlag…."""

    MUST_SCAN_SUBDIRS = 0x1
    USER_DROPPED = 0x2
    ROOT_CHANGED = 0x20
    CREATED = 0x100
    REMOVED = 0x200
    INODE_META_MOD = 0x400
    RENAMED = 0x800
    MODIFIED = 0x1000
    FINDER_INFO_MOD = 0x2000
    OWNER_CHANGE = 0x4000
    XATTR_MOD = 0x8000
    FILE = 0x10000
    DIRECTORY = 0x20000


@dataclass
class NativeEvent:
    """One event, as the extension passes it on."""

    path: str
    inode: int
    flags: int
    event_id: int

    def __getattr__(self, name: str) -> bool:
        """Return whether a flag is set: `is_created`, `is_directory` …"""
        return bool(self.flags & Flag[name.removeprefix("is_").upper()])


class FSEvents:
    """In place of the extension `_watchdog_fsevents`: `report` takes what macOS would report."""

    NativeEvent = NativeEvent

    def __init__(self) -> None:
        self.starts = True
        self.streams: list[Stream] = []

    def Stream(self, _paths: list[str], **_options: float) -> "Stream":
        """Make a stream. It ends at once with the extension's error while `starts` is False."""
        return Stream(self)

    def report(self, *events: tuple[Path, Flag]) -> None:
        """Report events, in one call. A path is spelled as on the disk, whatever the watch was given."""
        paths = [str(path) for path, _ in events]
        inodes = [path.stat().st_ino if path.exists() else 0 for path, _ in events]
        for stream in self.streams:
            stream.callback(paths, inodes, [int(flags) for _, flags in events], list(range(len(events))))


class Stream:
    """A stream of events, which runs in the thread of its emitter."""

    def __init__(self, system: FSEvents) -> None:
        self._system, self._stopped = system, threading.Event()

    def run(self, callback: Callable[..., Any], on_started: Callable[[], None]) -> None:
        """Report events until `stop`."""
        if not self._system.starts:
            raise SystemError("Cannot start fsevents stream. Use a kqueue or polling observer instead.")
        self.callback = callback
        self._system.streams.append(self)
        on_started()
        self._stopped.wait()
        self._system.streams.remove(self)

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
