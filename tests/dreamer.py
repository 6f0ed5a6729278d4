"""A dreamer without TensorFlow, for tests about the way of a job: it takes its time, emits frames, and can be held."""

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from shared.recipe.canvas import scale_to_canvas
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.store import StoreError
from worker.dreamer import Dreamer, DreamResult, Frame, Pixels

#: Seconds of one step of an ascent, and seconds between two frames of a dream that is held.
STEP_SECONDS, HELD_FRAME_SECONDS = 0.02, 0.1

#: Names of recipes whose dreams do not simply take their steps. A held one emits frames until it is released, as its
#: warm-up waits; a hanging one emits none and never ends; a greedy one takes GREEDY_MB of memory; version 2 of a deadly
#: one kills its process; the warm-up of a stranded one needs a store that is unavailable; the others raise an expected
#: and an unexpected error.
HELD, HANGING, GREEDY, DEADLY, FAILING, CRASHING = "held", "hanging", "greedy", "deadly", "failing", "crashing"
STRANDED = "stranded"

GREEDY_MB = 400

FAILURE_REASON = "This recipe always fails."


class StepDreamer(Dreamer):
    """Takes the time of the recipe's steps and emits a frame after each.

    The dream is the photo at the size of the canvas, or at the recipe's if there is a full photo, in colours that
    depend on recipe and seed: the same photo, recipe and seed give the same pixels.
    """

    def __init__(self, data: Path) -> None:
        """data: the data folder, whose file `released` ends held dreams."""
        self._released_path = _released_path(data)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Create the dreamer of an installation."""
        return cls(settings.data)

    def warm_up(self, recipe: Recipe) -> None:
        """Return at once, for there is nothing to compile; HELD waits for its release, FAILING and STRANDED fail."""
        if recipe.name == FAILING:
            raise ArtDreamError(FAILURE_REASON)
        if recipe.name == STRANDED:
            raise StoreError("The store is unavailable.")
        while self._is_held(recipe):
            _sleep(STEP_SECONDS)

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
        load_full_photo: Callable[[int], Pixels] | None = None,
    ) -> list[DreamResult]:
        dreams = [_recolor(photo, recipe, seed, recipe.canvas) for photo, seed in zip(photos, seeds, strict=True)]
        for frame_index, fraction in enumerate(self._take_steps(recipe)):
            for index, pixels in enumerate(dreams):
                if on_frame:
                    on_frame(index, Frame(frame_index, fraction, pixels))
        if recipe.size and load_full_photo:
            dreams = [_recolor(load_full_photo(i), recipe, seed, recipe.size) for i, seed in enumerate(seeds)]
        return [DreamResult(pixels, "0" * 64, "float32") for pixels in dreams]

    def _take_steps(self, recipe: Recipe) -> Iterator[float]:
        """Yield the share of the work that is done after each step."""
        if recipe.name == FAILING:
            raise ArtDreamError(FAILURE_REASON)
        if recipe.name == CRASHING:
            raise RuntimeError
        if (recipe.name, recipe.version) == (DEADLY, 2):
            os.kill(os.getpid(), signal.SIGKILL)
        if recipe.name == GREEDY:
            np.ones(GREEDY_MB << 20, np.uint8)
        while recipe.name == HANGING:
            _sleep(STEP_SECONDS)
        while self._is_held(recipe):
            _sleep(HELD_FRAME_SECONDS)
            yield 0.01
        step_count = recipe.ascent.octaves * recipe.ascent.steps
        for step in range(1, step_count + 1):
            _sleep(STEP_SECONDS)
            yield step / step_count

    def _is_held(self, recipe: Recipe) -> bool:
        return recipe.name == HELD and not self._released_path.exists()


def hold_dreams(data: Path) -> None:
    """Let dreams of the recipe HELD last until `release_dreams`, in every worker on this data folder."""
    _released_path(data).unlink(missing_ok=True)


def release_dreams(data: Path) -> None:
    """End the held dreams."""
    data.mkdir(parents=True, exist_ok=True)
    _released_path(data).touch()


def _released_path(data: Path) -> Path:
    return data / "released"


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)  # unlike time.sleep, it also works under faketime


def _recolor(photo: Pixels, recipe: Recipe, seed: int, side: int) -> Pixels:
    height, width, _ = photo.shape
    picture = Image.fromarray(photo).resize(scale_to_canvas(width, height, side))
    digest = hashlib.sha256(f"{seed} {recipe.model_dump_json()}".encode()).digest()
    return np.bitwise_xor(np.asarray(picture), np.frombuffer(digest[:3], np.uint8))
