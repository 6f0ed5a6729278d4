"""The manifest of a data set: what every picture was made from, and on which side of the split it lies."""

import hashlib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import ArtDreamError

Part = Literal["train", "val", "test"]

MANIFEST_FILE = "manifest.json"


class ManifestEntry(BaseModel):
    """One picture."""

    model_config = ConfigDict(frozen=True)

    #: Of the picture in the data set, below its folder.
    path: str
    artist: str
    part: Part
    #: SHA-256 of the file that it was made from, and of what it became.
    source: str
    written: str
    #: Pictures of one number are nearly the same, and lie in one part.
    group: int


class Manifest(BaseModel):
    """A data set, picture by picture."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    seed: int
    #: Part → the share of pictures that it was to have.
    shares: dict[Part, float]
    #: Pixels: the longest short side that pictures were left with.
    side: int
    entries: tuple[ManifestEntry, ...]

    @property
    def digest(self) -> str:
        """Sixteen hex digits that change with any picture, artist or part, wherever the data set lies."""
        lines = sorted(f"{one.part} {one.artist} {one.written}" for one in self.entries)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def save(self, folder: Path) -> None:
        """Put the manifest into a data set's folder."""
        beside = folder / f".{MANIFEST_FILE}.part"
        beside.write_text(self.model_dump_json(indent=1), encoding="utf-8")
        beside.replace(folder / MANIFEST_FILE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest of a data set. Raises ArtDreamError where there is none."""
        try:
            return cls.model_validate_json((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        except OSError as error:
            raise ArtDreamError(
                f"{folder} is no data set, for it has no {MANIFEST_FILE}: make one with `artdream dataset organise`."
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise ArtDreamError(
                f"{folder / MANIFEST_FILE} is damaged ({'.'.join(map(str, first['loc']))}: {first['msg']}): "
                "organise the data set anew."
            ) from None
