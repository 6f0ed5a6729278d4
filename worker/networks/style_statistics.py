"""Style statistics: how some works of each artist are painted, in numbers from which no work can be recovered.

For each of a few works: its Gram matrices in some layers of the network (Gatys et al., arXiv 1508.06576), its palette,
and its grain. They are averages over the whole work, and do not tell what is where.
"""

import io
import random
import zipfile
import zlib
from collections.abc import Mapping, Sequence
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
    """The style statistics of a network's artists: of some works of each."""

    #: (works,): the artist, as a channel of the network's class map.
    artist: NDArray[np.int16]
    #: (works, directions, quantiles): see `worker.dreaming.style_measures.palette`.
    palettes: Floats
    #: (works, bands): see `worker.dreaming.style_measures.grain`.
    grains: Floats
    #: Layer → (works, channels, rank): factors of the Gram matrices, which are factor · factor transposed.
    factors: Mapping[str, Floats]

    def draw_work(self, artist: int, seed: int) -> int:
        """Draw one of an artist's works, and return its index. Raises ArtDreamError if there is none.

        artist: channel of the class map. The same seed draws the same work.
        """
        return random.Random(f"{artist}/{seed}").choice(self.list_works(artist))  # noqa: S311

    def list_works(self, artist: int) -> list[int]:
        """Return the indexes of an artist's works, best first. Raises ArtDreamError if there is none.

        artist: channel of the class map.
        """
        works: list[int] = np.flatnonzero(self.artist == artist).tolist()
        if not works:
            raise ArtDreamError("The network has no style statistics of this artist: make them with `artdream styles`.")
        return works

    def gram_matrix(self, layer: str, work: int) -> Floats:
        """Return the Gram matrix of a work: (channels, channels). Raises ArtDreamError for another layer."""
        if layer not in self.factors:
            raise ArtDreamError(f"The style statistics have no layer “{layer}”: they have {', '.join(self.factors)}.")
        factor = self.factors[layer][work]
        gram: Floats = factor @ factor.T
        return gram

    def take(self, works: Sequence[int]) -> "StyleStatistics":
        """Return the statistics of some of the works, in the order of their indexes."""
        index = np.asarray(works, np.int64)
        factors = {layer: factor[index] for layer, factor in self.factors.items()}
        return StyleStatistics(self.artist[index], self.palettes[index], self.grains[index], factors)

    def to_npz(self) -> bytes:
        """Return the statistics as a compressed NumPy archive, in float16."""
        columns = {_LAYER_PREFIX + layer: factor for layer, factor in self.factors.items()}
        columns |= {"palettes": self.palettes, "grains": self.grains}
        arrays: dict[str, Any] = {key: values.astype(np.float16) for key, values in columns.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, artist=self.artist, **arrays)
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
                key.removeprefix(_LAYER_PREFIX): np.asarray(column, np.float32)
                for key, column in columns.items()
                if key.startswith(_LAYER_PREFIX)
            }
            palettes, grains = (np.asarray(columns[key], np.float32) for key in ("palettes", "grains"))
            return cls(columns["artist"], palettes, grains, factors)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ArtDreamError(
                f"The style statistics {name} cannot be read: create them again with `artdream styles`."
            ) from error
