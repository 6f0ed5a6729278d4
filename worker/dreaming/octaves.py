"""The ascent over octaves: what makes a picture into a dream.

DeepDream: A. Mordvintsev, C. Olah and M. Tyka, "Inceptionism" (2015). The ascent starts small, where a network's
features are large against the picture, and carries what it changed up to the next octave, where the photo's own detail
comes back.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.recipe.recipe import AscentConfig
from worker.backend import Tensor, resize
from worker.dreaming.gradient import MAX_TILE_SIDE, MAX_UNTILED_SIDE, ObjectiveGradient, ShiftedGradientFn
from worker.dreaming.optimizers import GradientFn, Optimizer
from worker.dreaming.parameterization import Parameterization

#: Octaves are multiples of this, so that their Laplacian levels halve without remainder.
OCTAVE_SIDE_MULTIPLE = 16


@dataclass(frozen=True)
class Octave:
    """One scale of the pyramid, in pixels."""

    height: int
    width: int

    @property
    def area(self) -> int:
        """Pixels."""
        return self.height * self.width


@dataclass(frozen=True)
class AscentState:
    """Where an ascent is after one of its steps."""

    #: The share of the work that is done, above 0, up to 1, counted in pixels.
    fraction: float
    #: Whether the octave's steps are used up.
    ends_octave: bool
    #: The photos, at the size of the octave: (batch, height, width, 3) in [-1, 1].
    photos: Tensor
    #: The objective's values before the step: (batch,).
    values: Tensor
    parameterization: Parameterization
    parameters: Tensor

    @property
    def pictures(self) -> Tensor:
        """What has become of the photos: (batch, height, width, 3) in [-1, 1]."""
        return self.parameterization.to_image(self.parameters)

    @property
    def change(self) -> Tensor:
        """What was added to the photos: (batch, height, width, 3)."""
        return self.pictures - self.photos


class PhotoPyramid(Protocol):
    """What is dreamt of."""

    def resize_photos(self, octave: Octave) -> NDArray[np.float32]:
        """Return the photos at the size of an octave, (batch, height, width, 3) in [-1, 1]."""

    def resize_mask(self, octave: Octave) -> NDArray[np.float32]:
        """Return where they may change, (1, 1, 1, 1) or (1, height, width, 1) in [0, 1]."""


def list_octaves(height: int, width: int, ascent: AscentConfig, min_side: int) -> list[Octave]:
    """List the octaves of a canvas, smallest first; the last is the canvas itself.

    smallest: pixels; an octave with a shorter side is left out.
    """
    sizes = [Octave(height, width)]
    for exponent in range(1, ascent.octaves):
        scale = ascent.octave_scale**-exponent
        smaller = Octave(
            *(
                max(OCTAVE_SIDE_MULTIPLE, round(side * scale / OCTAVE_SIDE_MULTIPLE) * OCTAVE_SIDE_MULTIPLE)
                for side in (height, width)
            )
        )
        if min(smaller.height, smaller.width) >= min_side and smaller != sizes[0]:
            sizes.insert(0, smaller)
    return sizes


def ascend(
    objective_gradient: ObjectiveGradient,
    optimizer: Optimizer,
    parameterization: Parameterization,
    pyramid: PhotoPyramid,
    octaves: Sequence[Octave],
    ascent: AscentConfig,
    *,
    artworks: Mapping[str, NDArray[np.uint8]],
    runtime_inputs: Mapping[str, NDArray[np.float32]],
    seeds: Sequence[int],
    on_step: Callable[[AscentState], None],
) -> None:
    """Climb octave after octave, and tell after every step where the pictures are.

    artworks: reference → pixels (height, width, 3), for each that the slope's objective names. givens: key →
    numbers, for each of its aims that is given. seeds: one for each
    picture; it draws the shifts. What `watch` raises ends the ascent.
    """
    chances = [np.random.default_rng(seed) for seed in seeds]
    lengths = (ascent.step * ascent.decay ** np.linspace(0, 1, max(ascent.steps, 1)))[: ascent.steps].tolist()
    work, done = ascent.steps * sum(size.area for size in octaves), 0
    change: Tensor = np.zeros((1, 1, 1, 3), np.float32)

    def ascend_octave(octave: Octave) -> Tensor:
        photos = ops.convert_to_tensor(pyramid.resize_photos(octave))
        taken = itertools.count(1)

        def report_step(parameters: Tensor, values: Tensor) -> None:
            count = next(taken)
            fraction = (done + count * octave.area) / work
            on_step(AscentState(fraction, count == ascent.steps, photos, values, parameterization, parameters))

        look = _add_random_shifts(
            objective_gradient.make_gradient_fn(photos, artworks, runtime_inputs), octave, ascent.jitter, chances
        )
        # The start has no name here: of a large picture it would be one more copy until the octave ends.
        reached = optimizer.ascend(
            parameterization.from_image(ops.clip(photos + resize(change, octave.height, octave.width), -1, 1), seeds),
            look,
            pyramid.resize_mask(octave),
            lengths,
            report_step,
        )
        return parameterization.to_image(reached) - photos

    for size in octaves:
        change = ascend_octave(size)
        done += ascent.steps * size.area


def _add_random_shifts(
    gradient_fn: ShiftedGradientFn, octave: Octave, jitter: int, generators: Sequence[np.random.Generator]
) -> GradientFn:
    """Shift each picture at random whenever it is looked at; far enough to hide tiles, where there are any."""
    furthest = max(jitter, MAX_TILE_SIDE if max(octave.height, octave.width) > MAX_UNTILED_SIDE else 0)

    def compute_shifted(parameters: Tensor) -> tuple[Tensor, Tensor]:
        drawn = [chance.integers(-furthest, furthest, 2, dtype=np.int32, endpoint=True) for chance in generators]
        return gradient_fn(parameters, np.stack(drawn))

    return compute_shifted
