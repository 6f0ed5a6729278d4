"""Where the files of a network go: into the installation's store, by the name artist/NAME, or into a folder."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from shared.errors import ArtDreamError
from shared.settings import Settings
from shared.storage.object_names import NETWORKS_PREFIX, REFERENCES_PREFIX, reference_name
from shared.storage.store import Store
from worker.networks import ARTIST_NAME_PATTERN
from worker.networks.catalogue import ARTIST_PREFIX


@dataclass(frozen=True)
class NetworkOutput:
    """A place for files that belong together."""

    #: `artist/<name>`.
    name: str
    _destination: Store | Path

    @classmethod
    def from_target(cls, target: str, settings: Settings) -> Self:
        """Return the home that a command line means. Raises ArtDreamError for a name that no network can have."""
        if not target.startswith(ARTIST_PREFIX):
            folder = Path(target).expanduser()
            return cls(ARTIST_PREFIX + folder.absolute().name, folder)
        if not ARTIST_NAME_PATTERN.fullmatch(target.removeprefix(ARTIST_PREFIX)):
            raise ArtDreamError(f"No network can be called “{target}”: letters, digits, spaces, dots and - may follow.")
        return cls(target, Store(settings.store))

    def require_writable(self) -> None:
        """Find out before hours are spent. Raises ArtDreamError where nothing can be put here."""
        if isinstance(self._destination, Path):
            try:
                self._destination.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArtDreamError(f"The folder {self._destination} cannot be made: {error.strerror}.") from error
            if not os.access(self._destination, os.W_OK):
                raise ArtDreamError(f"The folder {self._destination} may not be written: name another with --out.")
        else:
            self._destination.list_objects(NETWORKS_PREFIX)

    def write(self, files: dict[str, bytes]) -> None:
        """Put files there by their names. Raises ArtDreamError where that fails."""
        for name, content in files.items():
            if isinstance(self._destination, Store):
                self._destination.put(f"{NETWORKS_PREFIX}{self.name.removeprefix(ARTIST_PREFIX)}/{name}", content)
                continue
            try:
                (self._destination / name).write_bytes(content)
            except OSError as error:
                raise ArtDreamError(f"{self._destination / name} cannot be written: {error.strerror}.") from error

    def find_reference_name(self, path: Path) -> str:
        """Return the object name of a painting that the installation owns as `references/<artist>/<file>`; else ""."""
        name = reference_name(path.parent.name, path.name)
        return name if name in self._reference_names else ""

    @cached_property
    def _reference_names(self) -> frozenset[str]:
        entries = self._destination.list_objects(REFERENCES_PREFIX) if isinstance(self._destination, Store) else ()
        return frozenset(entry.name for entry in entries)

    def __str__(self) -> str:
        return self.name if isinstance(self._destination, Store) else str(self._destination)
