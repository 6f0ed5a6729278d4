"""Embedding maps: a network's 2-D map of paintings, and the position of a new picture on it.

t-SNE: van der Maaten and Hinton, 2008.
"""

import io
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.art_map import ArtMap
from shared.errors import ArtDreamError

Floats = NDArray[np.float32]

#: Nearest paintings whose median position a new picture gets. Of 58 photos and paintings, as many neighbours on the map
#: were by the predicted painter as after openTSNE's optimization of new points, which takes a hundred times as long.
NEAREST_NEIGHBORS = 15


@dataclass(frozen=True)
class EmbeddingMap:
    """Paintings on a 2-D map, and the projection of a network's features onto it."""

    #: (channels,) and (components, channels): project normalized features onto principal components.
    mean: Floats
    components: Floats
    #: (paintings, components) and (paintings, 2): principal components and positions; the map is centred.
    principal: Floats
    places: Floats
    #: (paintings,): the artist of each painting, as a channel of the network's class map.
    artist: NDArray[np.int16]

    def locate(self, features: Floats) -> Floats:
        """Return the positions of pictures on the map: features (pictures, channels) → (pictures, 2) float32."""
        count = min(NEAREST_NEIGHBORS, len(self.places))
        positions = []
        for row in self.project(features):
            distances = np.square(self.principal - row).sum(axis=1)
            positions.append(np.median(self.places[np.argpartition(distances, count - 1)[:count]], axis=0))
        return np.asarray(positions, np.float32)

    def project(self, features: Floats) -> Floats:
        """Return the principal components of features: (pictures, channels) → (pictures, components) float32."""
        return np.asarray((normalize_rows(features) - self.mean) @ self.components.T, np.float32)

    def as_art_map_json(self, network: str, classes: Sequence[str], picture_names: Sequence[str]) -> str:
        """Return the map for displays: an ArtMap as JSON.

        network: the name of the network. classes: its artists, by channel. picture_names: the object name of each
        painting's picture, "" if the installation does not own the picture.
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
        """Return the map as a compressed NumPy archive, with the principal components in float16."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **(self.__dict__ | {"principal": self.principal.astype(np.float16)}))
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes, name: str) -> Self:
        """Read a map from the bytes that `to_npz` returns.

        name: names the map in messages. Raises ArtDreamError if the content is not an embedding map.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                columns: dict[str, Any] = {field: arrays[field] for field in cls.__dataclass_fields__}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtDreamError(f"The map {name} cannot be read: rebuild it with `artdream embed`.") from error
        columns["principal"] = np.asarray(columns["principal"], np.float32)
        return cls(**columns)


def normalize_rows(features: Floats) -> Floats:
    """Scale each row to length 1: directions separate artists better than lengths."""
    normalized: Floats = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return normalized
