"""A data set as training reads it: paintings and their artists."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from shared.errors import ArtDreamError
from worker.training.dataset.manifest import MANIFEST_FILE, Manifest, Part

PARTS: tuple[Part, ...] = ("train", "val", "test")

#: File suffixes of pictures.
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class Painting(NamedTuple):
    """A picture and its artist."""

    path: Path
    #: Index of the artist in the data set's `artists`.
    artist: int


@dataclass(frozen=True)
class Dataset:
    """Paintings by artist, in three parts or in a single one."""

    #: Names of the artists, sorted.
    artists: tuple[str, ...]
    #: Hex digits that change with any picture, artist or part.
    digest: str
    _parts: dict[str, list[Painting]]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a data set that `artdream dataset organize` built. Raises ArtDreamError if the folder is not one."""
        manifest = Manifest.load(folder)
        artists = tuple(sorted({entry.artist for entry in manifest.entries}))
        parts: dict[str, list[Painting]] = {part: [] for part in PARTS}
        for entry in manifest.entries:
            parts[entry.part].append(Painting(folder / entry.path, artists.index(entry.artist)))
        return cls(artists, manifest.digest, parts)

    @classmethod
    def open_folders(cls, folder: Path) -> Self:
        """Open a folder with one folder of pictures for each artist. Raises ArtDreamError if it has none.

        All pictures are in a single part; an artist's name is that of the folder, with underscores read as spaces.
        """
        if not folder.is_dir():
            raise ArtDreamError(f"There is no folder {folder}.")
        files_by_artist = {
            subfolder.name.replace("_", " "): sorted(
                path for path in subfolder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES
            )
            for subfolder in sorted(folder.iterdir())
            if subfolder.is_dir() and not subfolder.name.startswith(".")
        }
        artists = tuple(sorted(name for name, files in files_by_artist.items() if files))
        if not artists:
            raise ArtDreamError(f"{folder} has no folder of pictures for each artist.")
        paintings = [Painting(file, index) for index, artist in enumerate(artists) for file in files_by_artist[artist]]
        names = "\n".join(
            f"{artists[painting.artist]}/{painting.path.name} {painting.path.stat().st_size}" for painting in paintings
        )
        return cls(artists, hashlib.sha256(names.encode()).hexdigest()[:16], {"all": paintings})

    @classmethod
    def open_any(cls, folder: Path) -> Self:
        """Open a data set, or a folder with one folder for each artist. Raises ArtDreamError if it is neither."""
        return cls.open(folder) if (folder / MANIFEST_FILE).exists() else cls.open_folders(folder)

    @property
    def is_split(self) -> bool:
        """Whether the data set is split into parts for training, validation and test."""
        return set(self._parts) == set(PARTS)

    def get_part(self, name: Part) -> list[Painting]:
        """Return the paintings of a part; an empty list if the data set is not split."""
        return self._parts.get(name, [])

    @property
    def paintings(self) -> list[Painting]:
        """The paintings of all parts."""
        return [painting for part in self._parts.values() for painting in part]

    @property
    def held_out_mask(self) -> list[bool]:
        """For each of `paintings`, whether neither training nor validation used it: those of `test`, or all."""
        return [name not in ("train", "val") for name, part in self._parts.items() for _ in part]
