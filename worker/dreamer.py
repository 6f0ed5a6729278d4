"""A dreamer: whatever makes dreams of photos, as the studio knows it. The engine is one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.art_map import MapPoint
from shared.jobs.events import ClassProbability
from shared.recipe.recipe import Recipe

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Frame:
    """An intermediate picture of a dream, at its final size; the last is the dream itself."""

    #: From 0.
    index: int
    #: The share of the work that is done, above 0, up to 1.
    fraction: float
    #: (height, width, 3), with the photo's own aspect.
    pixels: Pixels


@dataclass(frozen=True)
class DreamResult:
    """A finished dream, and what made it."""

    #: (height, width, 3), with the photo's own aspect.
    pixels: Pixels
    #: SHA-256 of the network's weights, as hex digits.
    weights_sha256: str
    #: What the network computed in: "float32" or "bfloat16".
    precision: str
    #: The artworks it took after, as `artist/file`.
    artworks: tuple[str, ...] = ()
    #: For a recipe that asks for classes, how much of them the network sees; else ().
    class_probabilities: tuple[ClassProbability, ...] = ()
    #: Where photo and dream lie on the map of a network that has one.
    map_point: MapPoint | None = None


class Dreamer(Protocol):
    """Dreams photos, one at a time or several of one size and recipe."""

    def warm_up(self, recipe: Recipe) -> None:
        """Make ready for a recipe, so that its first photo waits for nothing. Raises ArtDreamError where it cannot."""

    def dream(
        self, photo: Pixels, recipe: Recipe, *, seed: int, on_frame: Callable[[Frame], None] | None = None
    ) -> DreamResult:
        """Dream a photo, (height, width, 3). What `on_frame` raises ends the dream. Raises ArtDreamError."""

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
    ) -> list[DreamResult]:
        """Dream photos of one size on the canvas in one ascent; `on_frame` is told whose frame it is.

        Raises what `dream` raises, and where it does, none of them is dreamt.
        """
