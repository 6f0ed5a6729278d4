"""The interface of a dreamer, which turns photos into dreams. `worker.dreaming.engine.Engine` implements it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shared.art_map import MapPoint
from shared.jobs.events import ClassProbability
from shared.recipe.recipe import Recipe

Pixels = NDArray[np.uint8]
Change = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """An intermediate picture of a dream, at the size of the canvas; the last frame is the dream itself."""

    #: From 0.
    index: int
    #: Share of the work that is done, in (0, 1].
    fraction: float
    #: (height, width, 3) uint8 sRGB, with the aspect of the photo.
    pixels: Pixels


@dataclass(frozen=True)
class DreamResult:
    """A finished dream and its provenance."""

    #: (height, width, 3) uint8 sRGB, with the aspect of the photo.
    pixels: Pixels
    #: SHA-256 of the network's weights, as hex digits.
    weights_sha256: str
    #: Number type of the network's convolutions: "float32" or "bfloat16".
    precision: str
    #: Artworks that the objective used, as `artist/file`.
    artworks: tuple[str, ...] = ()
    #: For a recipe that asks for classes, their probabilities and those of the dream's top classes; else ().
    class_probabilities: tuple[ClassProbability, ...] = ()
    #: Network that these probabilities and positions are of: one that the dream was not made with, if there is any that
    #: knows the classes; else the recipe's own.
    critic: str = ""
    #: Positions of photo and dream on the critic's embedding map; None if it has none.
    map_point: MapPoint | None = None
    #: Whether people are seen in the photo; None if the recipe does not ask for them.
    people_seen: bool | None = None


class Dreamer(Protocol):
    """Dreams photos, one at a time or as a batch of one size and recipe."""

    def warm_up(self, recipe: Recipe) -> None:
        """Load and compile everything that a recipe needs, so that its first photo is as fast as the next.

        Raises ArtDreamError if the recipe cannot be prepared.
        """

    def dream(
        self,
        photo: Pixels,
        recipe: Recipe,
        *,
        seed: int,
        on_frame: Callable[[Frame], None] | None = None,
        load_full_photo: Callable[[], Pixels] | None = None,
    ) -> DreamResult:
        """Dream a photo, (height, width, 3) uint8 sRGB; unless overridden, as a batch of one.

        on_frame: called with each frame; an exception from it ends the dream. load_full_photo: called when the dream is
        rendered, if it is larger than `photo`; returns the same photo, as large as there is. Raises ArtDreamError if
        the recipe cannot be applied.
        """
        emit_frame = (lambda _, frame: on_frame(frame)) if on_frame else None
        load_photo = (lambda _: load_full_photo()) if load_full_photo else None
        return self.dream_batch([photo], recipe, seeds=[seed], on_frame=emit_frame, load_full_photo=load_photo)[0]

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
        load_full_photo: Callable[[int], Pixels] | None = None,
    ) -> list[DreamResult]:
        """Dream photos of one size on the canvas in one gradient ascent.

        seeds: one for each photo. on_frame, load_full_photo: as for `dream`, called with the index of the photo, too.
        Returns one result for each photo. Raises what `dream` raises; then no photo has a result.
        """

    def dream_next(
        self,
        photo: Pixels,
        recipe: Recipe,
        *,
        seed: int,
        change: Change | None = None,  # noqa: ARG002
        on_step: Callable[[], None] = lambda: None,
    ) -> tuple[Pixels, Change]:
        """Dream one picture of a video, beginning with a change that was dreamt before; unless overridden, with none.

        change: added to the photo before the first step, (height, width, 3) float32, of pixels in [-1, 1], at the size
        of the canvas with the aspect of the photo; None begins as `dream` does. on_step: called often; an exception
        from it ends the dream. Returns the dream at that size, (height, width, 3) uint8 sRGB, and its change. Another
        thread may dream at the same time. Raises ArtDreamError if the recipe cannot be applied.
        """
        dream = self.dream(photo, recipe, seed=seed, on_frame=lambda _: on_step()).pixels
        return dream, np.zeros(dream.shape, np.float32)
