"""The cache: pictures of a store that is elsewhere, on this machine's disk, the least recently used going first."""

import contextlib
import os
import threading
import uuid
from collections import OrderedDict
from pathlib import Path

#: Name of the cache in the data folder.
CACHE_FOLDER = "cache"

#: Stands for the slashes in an object's name, which has none of these.
_SLASH_SUBSTITUTE = "~"


class DiskCache:
    """Files in one folder, of so many bytes at most. May be used from several threads. A full disk is no error."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Take up what an earlier display left in the folder."""
        self._folder, self._max_bytes = folder, max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()
        self._generation = 0
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            found = [(path.stat(), path) for path in folder.iterdir()]
            for status, path in sorted(found, key=lambda one: one[0].st_mtime_ns):
                if path.name.startswith("."):
                    path.unlink(missing_ok=True)  # half a picture, of a display that was killed
                else:
                    self._sizes[path.name.replace(_SLASH_SUBSTITUTE, "/")] = status.st_size
        self._evict()

    @property
    def generation(self) -> int:
        """How often something was forgotten: whoever fetches compares, so as not to bring it back."""
        return self._generation

    def __contains__(self, name: str) -> bool:
        return name in self._sizes

    def get(self, name: str) -> bytes | None:
        """Return a picture; None where it is not here."""
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        path = self._path(name)
        try:
            data = path.read_bytes()
            os.utime(path)  # the order outlives a restart
        except OSError:
            with self._lock:
                self._sizes.pop(name, None)
            return None
        return data

    def put(self, name: str, data: bytes, *, generation: int) -> None:
        """Keep a picture, whole or not at all, unless something was forgotten since it was asked for."""
        if len(data) > self._max_bytes:
            return
        draft = self._folder / f".{uuid.uuid4().hex}"
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # a power cut must not leave half a picture under a whole one's name
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
        """Remove a picture that may be shown no longer; one that is being fetched is not kept either."""
        with self._lock:
            self._generation += 1
            self._sizes.pop(name, None)
            self._path(name).unlink(missing_ok=True)

    def _evict(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            size = sum(self._sizes.values())
            while size > self._max_bytes:
                name, freed = self._sizes.popitem(last=False)
                size -= freed
                self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / name.replace("/", _SLASH_SUBSTITUTE)
