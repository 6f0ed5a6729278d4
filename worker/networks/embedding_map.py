"""An atlas: where a network sees paintings in two dimensions, and where it would see another picture among them.

t-SNE: van der Maaten and Hinton, 2008. New points: Poličar, Stražar and Zupan, “Embedding to reference t-SNE space
addresses batch effects in single-cell classification” (2021), as openTSNE does it.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.art_map import ArtMap
from shared.errors import ArtDreamError

Floats = NDArray[np.float32]

#: Paintings near enough to a new picture to say where it lies.
NEAREST_NEIGHBORS = 25

#: Rounds in which a new picture finds its place among them; 250, openTSNE's own number, moves it little further and
#: takes more than twice as long.
PLACEMENT_ITERATIONS = 100


@dataclass(frozen=True)
class EmbeddingMap:
    """Paintings on a map, and the way there from what a network saw."""

    #: (channels,) and (components, channels): from unit features to principal components.
    mean: Floats
    components: Floats
    #: (paintings, components) and (paintings, 2), the second centred.
    principal: Floats
    places: Floats
    #: (paintings,), as channels of the network's class map.
    artist: NDArray[np.int16]

    def locate(self, features: Floats) -> Floats:
        """Return where pictures lie: (pictures, channels) of features → (pictures, 2)."""
        placed = self._embedding.transform(self.project(features), k=NEAREST_NEIGHBORS, n_iter=PLACEMENT_ITERATIONS)
        return np.asarray(placed, np.float32)

    def project(self, features: Floats) -> Floats:
        """Return principal components of features: (pictures, components)."""
        return np.asarray((normalize_rows(features) - self.mean) @ self.components.T, np.float32)

    @cached_property
    def _embedding(self) -> Any:
        from openTSNE import TSNEEmbedding
        from openTSNE.affinity import PerplexityBasedNN

        near = PerplexityBasedNN(self.principal, perplexity=30, method="exact")
        return TSNEEmbedding(self.places.astype(np.float64), near)

    def as_art_map_json(self, network: str, classes: Sequence[str], picture_names: Sequence[str]) -> str:
        """Return what a display is told of the map, as JSON.

        pictures: the object name of each painting's picture, "" where the installation does not own it.
        """
        x, y = self.places.round(2).T.tolist()
        return ArtMap(
            network=network,
            artists=tuple(classes),
            x=x,
            y=y,
            artist=tuple(self.artist.tolist()),
            picture=tuple(picture_names),
        ).model_dump_json()

    def to_npz(self) -> bytes:
        """Return the atlas as a compressed NumPy archive, principal components in float16."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **(self.__dict__ | {"principal": self.principal.astype(np.float16)}))
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes, name: str) -> Self:
        """Read what `file` gave. name: names it in errors. Raises ArtDreamError where it is not an atlas."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                columns: dict[str, Any] = {field: arrays[field] for field in cls.__dataclass_fields__}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtDreamError(f"The atlas {name} cannot be read: draw it anew with `artdream embed`.") from error
        columns["principal"] = np.asarray(columns["principal"], np.float32)
        return cls(**columns)


def normalize_rows(features: Floats) -> Floats:
    """Scale rows to length 1: directions tell artists apart better than lengths."""
    scaled: Floats = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return scaled
