"""Network output: write the files of a trained network to the installation's store, as artist/NAME, or to a folder."""

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
    """Destination of the files of one network."""

    #: `artist/<name>`.
    name: str
    _destination: Store | Path

    @classmethod
    def from_target(cls, target: str, settings: Settings) -> Self:
        """Return the output for a command line argument. Raises ArtDreamError for an invalid network name.

        target: `artist/NAME` for the installation's store, otherwise a folder.
        """
        if not target.startswith(ARTIST_PREFIX):
            folder = Path(target).expanduser()
            return cls(ARTIST_PREFIX + folder.absolute().name, folder)
        if not ARTIST_NAME_PATTERN.fullmatch(target.removeprefix(ARTIST_PREFIX)):
            raise ArtDreamError(
                f"“{target}” is no valid name: after {ARTIST_PREFIX} use letters, digits, spaces, dots and hyphens."
            )
        return cls(target, Store(settings.store))

    def require_writable(self) -> None:
        """Check the destination before hours of training. Raises ArtDreamError if it cannot be written."""
        if isinstance(self._destination, Path):
            try:
                self._destination.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ArtDreamError(f"The folder {self._destination} cannot be created: {error.strerror}.") from error
            if not os.access(self._destination, os.W_OK):
                raise ArtDreamError(f"The folder {self._destination} is not writable: name another with --out.")
        else:
            self._destination.list_objects(NETWORKS_PREFIX)

    def write(self, files: dict[str, bytes]) -> None:
        """Write files, given by name. Raises ArtDreamError if that fails."""
        for name, content in files.items():
            if isinstance(self._destination, Store):
                self._destination.put(f"{NETWORKS_PREFIX}{self.name.removeprefix(ARTIST_PREFIX)}/{name}", content)
                continue
            try:
                (self._destination / name).write_bytes(content)
            except OSError as error:
                raise ArtDreamError(f"{self._destination / name} cannot be written: {error.strerror}.") from error

    def find_reference_name(self, path: Path) -> str:
        """Return the object name of a painting, `references/<artist>/<file>`; "" if the store does not contain it."""
        name = reference_name(path.parent.name, path.name)
        return name if name in self._reference_names else ""

    @cached_property
    def _reference_names(self) -> frozenset[str]:
        entries = self._destination.list_objects(REFERENCES_PREFIX) if isinstance(self._destination, Store) else ()
        return frozenset(entry.name for entry in entries)

    def __str__(self) -> str:
        return self.name if isinstance(self._destination, Store) else str(self._destination)
