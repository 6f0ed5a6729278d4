"""Style statistics: how the works of each artist are painted, in numbers from which no work can be recovered.

An artist has several clusters of works, because averaging over all of them makes artists look alike. For each: the Gram
matrices of the works in some layers of the network (Gatys et al., arXiv 1508.06576), their palette, and their grain.
"""

import io
import random
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shared.errors import ArtDreamError

Floats = NDArray[np.float32]

#: Prefix of the names of the layers' arrays in a file.
_LAYER_PREFIX = "gram/"


@dataclass(frozen=True)
class StyleStatistics:
    """The style statistics of a network's artists, by cluster of works."""

    #: (clusters,): the artist, as a channel of the network's class map, and the number of works.
    artist: NDArray[np.int16]
    works: NDArray[np.int16]
    #: (clusters, directions, quantiles): the palette of a typical work (`worker.dreaming.style_measures.palette`).
    palettes: Floats
    #: (clusters, bands): the mean grain (`worker.dreaming.style_measures.grain`).
    grains: Floats
    #: Layer → (clusters, channels, rank): factors of the mean Gram matrices, which are factor · factor transposed.
    factors: Mapping[str, Floats]

    def draw_cluster(self, artist: int, seed: int) -> int:
        """Draw one of an artist's clusters, each as often as it has works. Raises ArtDreamError if there is none.

        artist: channel of the class map. The same seed draws the same cluster.
        """
        clusters = np.flatnonzero(self.artist == artist)
        if not len(clusters):
            raise ArtDreamError("The network has no style statistics of this artist: make them with `artdream styles`.")
        weights = self.works[clusters].tolist()
        return int(random.Random(f"{artist}/{seed}").choices(clusters.tolist(), weights)[0])  # noqa: S311

    def gram_matrix(self, layer: str, cluster: int) -> Floats:
        """Return the mean Gram matrix of a cluster: (channels, channels). Raises ArtDreamError for another layer."""
        if layer not in self.factors:
            raise ArtDreamError(f"The style statistics have no layer “{layer}”: they have {', '.join(self.factors)}.")
        factor = self.factors[layer][cluster]
        gram: Floats = factor @ factor.T
        return gram

    def to_npz(self) -> bytes:
        """Return the statistics as a compressed NumPy archive, in float16."""
        columns = {_LAYER_PREFIX + layer: factor for layer, factor in self.factors.items()}
        columns |= {"palettes": self.palettes, "grains": self.grains}
        arrays: dict[str, Any] = {key: values.astype(np.float16) for key, values in columns.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, artist=self.artist, works=self.works, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_npz(cls, content: bytes, name: str) -> Self:
        """Read statistics from the bytes that `to_npz` returns.

        name: names them in messages. Raises ArtDreamError if the content is not such a file.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                columns: dict[str, Any] = {key: arrays[key] for key in arrays.files}
            factors = {
                key.removeprefix(_LAYER_PREFIX): np.asarray(columns.pop(key), np.float32)
                for key in list(columns)
                if key.startswith(_LAYER_PREFIX)
            }
            palettes, grains = (np.asarray(columns.pop(key), np.float32) for key in ("palettes", "grains"))
            return cls(factors=factors, palettes=palettes, grains=grains, **columns)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtDreamError(
                f"The style statistics {name} cannot be read: make them anew with `artdream styles`."
            ) from error
