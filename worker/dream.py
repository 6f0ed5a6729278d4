"""The one door of the engine: from a photo and a recipe to a dream."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.canvas import Canvas, canvas_for, canvases, fitted
from shared.errors import ArtDreamError
from shared.recipe import Layers, Recipe
from worker.ascent import Octave, Step, ascend, compiled_step, octaves
from worker.backend import resized
from worker.networks import load_network
from worker.networks.network import to_picture, to_pixels
from worker.objectives import objective_of

#: A frame is shown at the end of each octave, and in between whenever this share of the work has been done since.
FRAME_EVERY = 0.08

#: Compiled steps that a process keeps, one for each objective.
STEPS_KEPT = 16


@dataclass(frozen=True)
class Frame:
    """An intermediate picture of a dream, at its final size; the last is the dream itself."""

    #: From 0 to count - 1.
    index: int
    count: int
    #: The share of the work that is done, above 0, up to 1.
    fraction: float
    #: (height, width, 3), with the photo's own aspect.
    pixels: NDArray[np.uint8]


def dream(
    photo: NDArray[np.uint8], recipe: Recipe, *, seed: int, on_frame: Callable[[Frame], None] | None = None
) -> NDArray[np.uint8]:
    """Dream a photo.

    photo: (height, width, 3) sRGB, of any size and aspect. seed: 0 or more; with the same photo, recipe, seed and
    processor the pixels are the same. on_frame: is handed each frame as soon as it exists; what it raises ends the
    dream. Returns (height, width, 3) with the photo's aspect, the long side being the recipe's canvas. Raises
    ArtDreamError for an unknown network or layer, and where the ascent leaves the numbers that can be shown.
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"A photo is (height, width, 3) of uint8, not {photo.shape} of {photo.dtype}.")
    step = _step(recipe.network, recipe.objective.model_dump_json(), recipe.ascent.levels)
    mounted = _Mounted(photo, recipe.canvas)
    sizes = octaves(mounted.canvas.height, mounted.canvas.width, recipe.ascent)
    marks = _marks(sizes, recipe.ascent.steps)

    pixels = mounted.pixels()
    if on_frame and not marks:
        on_frame(Frame(0, 1, 1.0, pixels))
    for number, moment in enumerate(ascend(step, mounted.at, sizes, recipe.ascent, seed), start=1):
        if number == marks[-1] or (on_frame and number in marks):
            change = np.asarray(resized(moment.change, mounted.canvas.height, mounted.canvas.width))
            if not (np.isfinite(change).all() and np.isfinite(moment.value).all()):
                raise ArtDreamError(
                    f"The dream of recipe “{recipe.name}” ran away at {moment.fraction:.0%}: its numbers are no longer "
                    "finite. Lower the weights of its objective."
                )
            pixels = mounted.pixels(change)
            if on_frame:
                on_frame(Frame(marks.index(number), len(marks), moment.fraction, pixels))
    return pixels


def warm(recipe: Recipe) -> None:
    """Load the network of a recipe, and trace and tune its ascent for all its canvases.

    After that no dream of the recipe compiles anything.
    """
    short = recipe.model_copy(update={"ascent": recipe.ascent.model_copy(update={"steps": 1})})
    for canvas in canvases(recipe.canvas):
        dream(np.full((canvas.height, canvas.width, 3), 128, np.uint8), short, seed=0)


def network_digest(recipe: Recipe) -> str:
    """Return the sha256 of the weights that a recipe dreams with, as hex digits."""
    return load_network(recipe.network).digest


@lru_cache(maxsize=STEPS_KEPT)
def _step(network: str, objective: str, levels: int) -> Step:
    return compiled_step(load_network(network), objective_of(Layers.model_validate_json(objective)), levels)


def _marks(sizes: list[Octave], steps: int) -> list[int]:
    """Choose the steps, counted from 1, after which a frame is shown."""
    work = steps * sum(size.height * size.width for size in sizes)
    marks, since = [], 0.0
    for index, size in enumerate(sizes):
        for step in range(1, steps + 1):
            since += size.height * size.width / work
            if step == steps or since >= FRAME_EVERY:
                marks.append(index * steps + step)
                since = 0.0
    return marks


class _Mounted:
    """A photo scaled to its canvas, with its own reflection where its aspect leaves the canvas free."""

    def __init__(self, photo: NDArray[np.uint8], long_side: int) -> None:
        height, width, _ = photo.shape
        self.canvas: Canvas = canvas_for(width, height, long_side)
        size = fitted(width, height, long_side)
        scaled = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
        top, left = (self.canvas.height - size.height) // 2, (self.canvas.width - size.width) // 2
        bottom, right = self.canvas.height - size.height - top, self.canvas.width - size.width - left
        self._whole = np.pad(scaled, ((top, bottom), (left, right), (0, 0)), mode="symmetric")
        self._part = (slice(None), slice(top, top + size.height), slice(left, left + size.width))

    def at(self, octave: Octave) -> NDArray[np.float32]:
        """Return the whole canvas at the size of an octave: (1, height, width, 3) in [-1, 1]."""
        size = (octave.width, octave.height)
        if size == self.canvas:
            return to_picture(self._whole)
        return to_picture(np.asarray(Image.fromarray(self._whole).resize(size, Image.Resampling.LANCZOS)))

    def pixels(self, change: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
        """Return the photo's part of the canvas, with a change (1, height, width, 3) added to it."""
        picture = to_picture(self._whole)[self._part]
        return to_pixels(picture if change is None else picture + change[self._part])
