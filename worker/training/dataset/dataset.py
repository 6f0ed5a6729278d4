"""A data set as training reads it: paintings and who painted them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from shared.errors import ArtDreamError
from worker.training.dataset.manifest import MANIFEST_FILE, Manifest, Part

PARTS: tuple[Part, ...] = ("train", "val", "test")

#: Endings of pictures.
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class Painting(NamedTuple):
    """A painting."""

    path: Path
    #: Who painted it, counted in the data set's artists from 0.
    artist: int


@dataclass(frozen=True)
class Dataset:
    """Paintings by artist, in three parts or in one."""

    #: Their names, sorted.
    artists: tuple[str, ...]
    #: Changes with any picture, artist or part.
    digest: str
    _parts: dict[str, list[Painting]]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open what `artdream dataset organise` made. Raises ArtDreamError where it is nothing of that kind."""
        manifest = Manifest.load(folder)
        artists = tuple(sorted({entry.artist for entry in manifest.entries}))
        parts: dict[str, list[Painting]] = {part: [] for part in PARTS}
        for entry in manifest.entries:
            parts[entry.part].append(Painting(folder / entry.path, artists.index(entry.artist)))
        return cls(artists, manifest.digest, parts)

    @classmethod
    def open_folders(cls, folder: Path) -> Self:
        """Open a folder that has one folder of pictures for each artist. Raises ArtDreamError where it has none.

        All pictures are of one part; an artist's name is that of the folder, underscores read as spaces.
        """
        if not folder.is_dir():
            raise ArtDreamError(f"There is no folder {folder}.")
        found = {
            sub.name.replace("_", " "): sorted(one for one in sub.iterdir() if one.suffix.lower() in PICTURE_SUFFIXES)
            for sub in sorted(folder.iterdir())
            if sub.is_dir() and not sub.name.startswith(".")
        }
        artists = tuple(sorted(name for name, files in found.items() if files))
        if not artists:
            raise ArtDreamError(f"{folder} has no folder of pictures for each artist.")
        paintings = [Painting(file, index) for index, artist in enumerate(artists) for file in found[artist]]
        names = "\n".join(f"{artists[one.artist]}/{one.path.name} {one.path.stat().st_size}" for one in paintings)
        return cls(artists, hashlib.sha256(names.encode()).hexdigest()[:16], {"all": paintings})

    @classmethod
    def open_any(cls, folder: Path) -> Self:
        """Open a data set, or a folder with one folder for each artist. Raises ArtDreamError where it is neither."""
        return cls.open(folder) if (folder / MANIFEST_FILE).exists() else cls.open_folders(folder)

    @property
    def is_split(self) -> bool:
        """Whether it was split, so that some of it was not learned from."""
        return set(self._parts) == set(PARTS)

    def get_part(self, name: Part) -> list[Painting]:
        """Return the paintings of a part; none where the data set is in one part only."""
        return self._parts.get(name, [])

    @property
    def paintings(self) -> list[Painting]:
        """All of them."""
        return [one for part in self._parts.values() for one in part]

    @property
    def held_out_mask(self) -> list[bool]:
        """Of each of `paintings`, whether nothing was learned or chosen by it: those of `test`, or all."""
        return [name not in ("train", "val") for name, part in self._parts.items() for _ in part]
