"""Reference images: the artworks of the installation's store, and those bundled with the project."""

import functools
import io
import random
import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtDreamError, did_you_mean
from shared.storage.object_names import REFERENCES_PREFIX, reference_name
from shared.storage.store import Store
from worker.dreaming.artworks import HOUSE_ARTIST, list_artworks, read_artwork

#: Seconds after which a change in the store is noticed at the latest.
REFRESH_SECONDS = 60.0

#: How many decoded artworks, of which one of 24 million pixels takes 72 MB, and lists of artworks are kept until then.
MAX_ARTWORKS, MAX_LISTS = 4, 64


class Artwork(NamedTuple):
    """An artwork that guides dreams."""

    #: `artist/file`.
    name: str
    #: (height, width, 3) uint8 sRGB.
    pixels: NDArray[np.uint8]


class ReferenceImages:
    """The artworks of an installation, by artist."""

    def __init__(self, store: Store | None = None) -> None:
        """Read artworks from `references/` of the store, if there is one, and from the bundled ones."""
        self._store = store
        # What is raised is not kept, so that a first artwork is found at once. The second argument of both is the
        # number of the period for which they are kept.
        self._decode_recently = functools.lru_cache(MAX_ARTWORKS)(lambda name, _: self._decode(name))
        self._list_files_recently = functools.lru_cache(MAX_LISTS)(lambda artist, _: self._require_files(artist))

    def load_artwork(self, reference: str, seed: int) -> Artwork:
        """Load the artwork `artist/file`; of an `artist` alone, load the one that the seed draws.

        Raises ArtDreamError for an unknown artist or file, with similar names, and for a file that cannot be decoded.
        """
        artist, _, file = reference.partition("/")
        period = time.monotonic() // REFRESH_SECONDS
        if not file:
            files = self._list_files_recently(artist, period)
            file = random.Random(f"{artist}/{seed}").choice(files)  # noqa: S311 - a draw, not a secret
        return self._decode_recently(f"{artist}/{file}", period)

    def _decode(self, name: str) -> Artwork:
        try:
            with Image.open(io.BytesIO(self._read_file(*name.split("/", 1))), formats=["JPEG", "PNG", "WEBP"]) as image:
                return Artwork(name, np.asarray(image.convert("RGB")))
        except (OSError, Image.DecompressionBombError) as error:
            raise ArtDreamError(f"The artwork {name} is no JPEG, PNG or WebP that can be decoded.") from error

    def _read_file(self, artist: str, file: str) -> bytes:
        data = self._store.get(reference_name(artist, file)) if self._store else None
        if data is not None:
            return data
        if artist == HOUSE_ARTIST and file in list_artworks():
            return read_artwork(file)
        raise ArtDreamError(f"There is no artwork {artist}/{file}. {did_you_mean(file, self._list_files(artist))}")

    def _require_files(self, artist: str) -> list[str]:
        files = self._list_files(artist)
        if not files:
            raise ArtDreamError(
                f"There are no artworks of “{artist}”. {did_you_mean(artist, self._list_artists())} "
                f"An installation's own lie in its store as references/<artist>/<file>."
            )
        return files

    def _list_files(self, artist: str) -> list[str]:
        store_files = self._list_names(reference_name(artist, ""))
        return sorted(store_files | set(list_artworks() if artist == HOUSE_ARTIST else ()))

    def _list_artists(self) -> list[str]:
        return sorted({HOUSE_ARTIST} | {name.partition("/")[0] for name in self._list_names(REFERENCES_PREFIX)})

    def _list_names(self, prefix: str) -> set[str]:
        return {entry.name.removeprefix(prefix) for entry in self._store.list_objects(prefix)} if self._store else set()
