"""A dreamer that sleeps as long as a GPU renders, for benchmarks of everything around the dream."""

import time
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from shared.recipe.recipe import Recipe
from worker.dreamer import Dreamer, DreamResult, Frame, Pixels

#: Seconds of a dream on a GPU (measured with the original pipeline), and frames emitted meanwhile.
DREAM_SECONDS, FRAMES_PER_DREAM = 2.5, 14


class SleepingDreamer(Dreamer):
    """Sleeps, emits frames, and returns the photo resized to the recipe's canvas."""

    def __init__(self, seconds: float = DREAM_SECONDS, frames: int = FRAMES_PER_DREAM) -> None:
        self._seconds = seconds
        self._frames = frames

    def warm_up(self, recipe: Recipe) -> None:
        """Do nothing: there is nothing to compile."""

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],  # noqa: ARG002
        on_frame: Callable[[int, Frame], None] | None = None,
        load_full_photo: Callable[[int], Pixels] | None = None,
    ) -> list[DreamResult]:
        """Take as long as for one photo, and return the photos, resized to the canvas or the size of the dream."""
        pictures = [_fit(photo, recipe.canvas) for photo in photos]
        time.sleep(self._seconds / (self._frames + 1))
        for number in range(self._frames):
            for index, pixels in enumerate(pictures):
                if on_frame:
                    on_frame(index, Frame(number, (number + 1) / (self._frames + 1), pixels))
            time.sleep(self._seconds / (self._frames + 1))
        if load_full_photo and recipe.size:
            pictures = [_fit(load_full_photo(index), recipe.size) for index in range(len(photos))]
        return [DreamResult(pixels, "0" * 64, "float32") for pixels in pictures]


def _fit(photo: Pixels, long_side: int) -> Pixels:
    if max(photo.shape) <= long_side:
        return photo
    picture = Image.fromarray(photo)
    picture.thumbnail((long_side, long_side), Image.Resampling.HAMMING)
    return np.asarray(picture)
