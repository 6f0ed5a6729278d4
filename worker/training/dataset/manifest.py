"""The manifest of a data set: the source, digest, group and part of every picture."""

import hashlib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError

Part = Literal["train", "val", "test"]

MANIFEST_FILE = "manifest.json"


class ManifestEntry(BaseModel):
    """One picture of a data set."""

    model_config = ConfigDict(frozen=True)

    #: Path of the picture, relative to the data set's folder.
    path: str
    artist: str
    part: Part
    #: SHA-256 of the source file, and of the converted file.
    source: str
    written: str
    #: Pictures with the same number are near-duplicates, and are in the same part.
    group: int


class Manifest(BaseModel):
    """The pictures of a data set, and how they were split."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    seed: int
    #: Part → the intended share of each artist's pictures.
    shares: dict[Part, float]
    #: Pixels: the largest short side of the pictures.
    side: int
    entries: tuple[ManifestEntry, ...]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any picture, artist or part, but not with the folder."""
        lines = sorted(f"{entry.part} {entry.artist} {entry.written}" for entry in self.entries)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Write the manifest into a data set's folder."""
        temporary_file = folder / f".{MANIFEST_FILE}.part"
        temporary_file.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        temporary_file.replace(folder / MANIFEST_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest of a data set. Raises ArtDreamError if it is missing or damaged."""
        try:
            return cls.model_validate_json((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise ArtDreamError(
                f"{folder} is no data set, for it has no {MANIFEST_FILE}: make one with `artdream dataset organize`."
            ) from error
        except ValidationError as error:
            first_error = error.errors()[0]
            location = ".".join(map(str, first_error["loc"]))
            raise ArtDreamError(
                f"{folder / MANIFEST_FILE} is damaged ({location}: {first_error['msg']}): organize the data set again."
            ) from None
