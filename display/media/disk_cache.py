"""Disk cache: pictures of a remote store on this machine's disk, evicted least recently used first."""

import contextlib
import logging
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path

from shared.durability import flush_file
from shared.private_folder import create_private_folder

logger = logging.getLogger(__name__)

#: Name of the cache folder in the data folder.
CACHE_FOLDER = "cache"

#: Replaces the slashes of an object name in file names; object names never contain it.
_SLASH_SUBSTITUTE = "~"


class DiskCache:
    """Files in one folder, `max_bytes` in total at most. Thread-safe. If the disk is full, nothing is cached."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Load the entries that an earlier display left in `folder`, least recently used first."""
        self._folder, self._max_bytes = folder, max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._generation = 0
        with contextlib.suppress(OSError):
            create_private_folder(folder)
            found = [(path.stat(), path) for path in folder.iterdir()]
            for status, path in sorted(found, key=lambda entry: entry[0].st_mtime_ns):
                if path.name.startswith("."):
                    path.unlink(missing_ok=True)  # an incomplete file of a display that was killed
                else:
                    self._sizes[path.name.replace(_SLASH_SUBSTITUTE, "/")] = status.st_size
        self._evict()

    @property
    def generation(self) -> int:
        """The number of removals so far. A fetch passes it to `put`, so that it cannot restore a removed picture."""
        return self._generation

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def list_names(self) -> list[str]:
        """Return the object names of all pictures."""
        with self._lock:
            return list(self._sizes)

    def get(self, name: str) -> bytes | None:
        """Return a picture's bytes, None if it is not cached."""
        return self.get_range(name, 0, None)

    def get_size(self, name: str) -> int | None:
        """Return the size of a picture in bytes, None if it is not cached."""
        return self._sizes.get(name)

    def get_range(self, name: str, begin: int, end: int | None) -> bytes | None:
        """Return the bytes of a picture from `begin` to before `end` (None: all), None if it is not cached."""
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        path = self._path(name)
        try:
            with path.open("rb") as file:
                file.seek(begin)
                data = file.read(None if end is None else end - begin)
            os.utime(path)  # keeps the order of use across a restart
        except OSError:
            with self._lock:
                self._sizes.pop(name, None)
            return None
        return data

    def put(self, name: str, data: bytes, *, generation: int) -> None:
        """Cache a picture atomically. Do nothing if a picture was removed since `generation` was read.

        A picture larger than the whole cache is not stored.
        """
        if len(data) > self._max_bytes:
            return
        draft = self._folder / f".{uuid.uuid4().hex}"
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                flush_file(file.fileno())  # a power cut must not leave an incomplete picture under the final name
            with self._lock:
                if generation == self._generation:
                    draft.replace(self._path(name))
                    self._sizes[name] = len(data)
                    self._sizes.move_to_end(name)
        except OSError:
            return
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        self._evict()

    def remove(self, name: str) -> None:
        """Remove a picture that may no longer be shown, and keep fetches in progress from caching it again.

        If its file cannot be removed, it is not used any more.
        """
        with self._lock:
            self._generation += 1
            self._sizes.pop(name, None)
            try:
                self._path(name).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("%s cannot be removed from the cache: %s", name, error)

    def _evict(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            size = sum(self._sizes.values())
            while size > self._max_bytes:
                name, freed_bytes = self._sizes.popitem(last=False)
                size -= freed_bytes
                self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name.replace("/", _SLASH_SUBSTITUTE)
