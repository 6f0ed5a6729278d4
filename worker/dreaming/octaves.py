"""Gradient ascent over octaves, which turns a picture into a dream.

DeepDream: A. Mordvintsev, C. Olah and M. Tyka, "Inceptionism" (2015). The ascent starts at the smallest octave, whose
size makes a network's features large relative to the picture. It carries the change over to the next octave, which adds
the photo's own detail again.
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
from worker.dreaming.parameterization import Parameterization, Parameters

#: Number of scales at which an ascent may see the canvas, and the seed of their order. It is the same for all dreams,
#: so that dreams of one batch share their views.
VIEW_COUNT, VIEW_SEED = 4, 0

#: Sides of views are multiples of this many pixels, so that the strides of the networks divide them.
VIEW_SIDE_MULTIPLE = 32

#: Sides of smaller octaves are multiples of this many pixels, so that up to 4 Laplacian levels halve without
#: remainder.
OCTAVE_SIDE_MULTIPLE = 16


@dataclass(frozen=True)
class Octave:
    """One scale of the pyramid, in pixels."""

    height: int
    width: int

    @property
    def area(self) -> int:
        """The number of pixels."""
        return self.height * self.width


@dataclass(frozen=True)
class AscentState:
    """The state of an ascent after one of its steps."""

    #: Share of the work that is done, in (0, 1], measured in pixels × steps.
    fraction: float
    #: Whether this is the last step of the octave.
    ends_octave: bool
    #: The photos at the size of the octave: (batch, height, width, 3) float32 in [-1, 1].
    photos: Tensor
    #: Values of the objective before the step: (batch,) float32.
    values: Tensor
    parameters: Parameters
    #: Renders the parameters at the size of the photos.
    render: Callable[[Parameters], Tensor]

    @property
    def pictures(self) -> Tensor:
        """The current pictures: (batch, height, width, 3) float32 in [-1, 1]."""
        return self.render(self.parameters)

    @property
    def change(self) -> Tensor:
        """The difference between pictures and photos: (batch, height, width, 3) float32."""
        return self.pictures - self.photos


class PhotoPyramid(Protocol):
    """Photos and their mask at the size of any octave."""

    def resize_photos(self, octave: Octave) -> NDArray[np.float32]:
        """Return the photos at the size of an octave: (batch, height, width, 3) float32 in [-1, 1]."""

    def resize_mask(self, octave: Octave) -> NDArray[np.float32]:
        """Return how far each pixel may change: (1, 1, 1, 1), or (1 or batch, height, width, 1), float32 in [0, 1]."""

    def tone(self, photos: Tensor, mask: NDArray[np.float32]) -> Tensor:
        """Return the photos of an octave as the ascent starts with them, in the same shape and range."""


def list_octaves(height: int, width: int, ascent: AscentConfig, min_side: int) -> list[Octave]:
    """List the octaves of a canvas, smallest first; the last is the canvas itself.

    min_side: pixels; an octave with a shorter side is left out.
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
    initial_change: Tensor | None = None,
) -> None:
    """Run gradient ascent octave after octave, and report the state after every step.

    pyramid: the photos. octaves: their sizes, in order. artworks: reference → pixels (height, width, 3), for each
    reference of the objective. runtime_inputs: target key → values, for each target with RUNTIME_SOURCE. seeds: one for
    each picture, for its initial noise and its random shifts. on_step: called with each state; an exception from it
    ends the ascent. initial_change: the change to begin with, (batch, height, width, 3) float32 at the size of the last
    octave, which keeps its detail; None begins with the photos.
    """
    generators = [np.random.default_rng(seed) for seed in seeds]
    step_sizes = (ascent.step * ascent.decay ** np.linspace(0, 1, max(ascent.steps, 1)))[: ascent.steps].tolist()
    total_work, work_done = ascent.steps * sum(size.area for size in octaves), 0
    change: Tensor | None = None

    def ascend_octave(octave: Octave) -> Tensor:
        photos, mask = ops.convert_to_tensor(pyramid.resize_photos(octave)), pyramid.resize_mask(octave)
        # What the octaves change, they change in these pictures.
        base = photos if initial_change is None else photos + resize(initial_change, octave.height, octave.width)
        step_numbers = itertools.count(1)

        def make_gradient_fn(view: Octave) -> GradientFn:
            if view == octave:
                view_photos, view_mask = photos, mask
            else:
                view_photos, view_mask = ops.convert_to_tensor(pyramid.resize_photos(view)), pyramid.resize_mask(view)
            gradient_fn = objective_gradient.make_gradient_fn(view_photos, view_mask, artworks, runtime_inputs)
            return _add_random_shifts(gradient_fn, view, ascent.jitter, generators)

        def render(parameters: Parameters) -> Tensor:
            return objective_gradient.render(parameters, photos, mask)

        def report_step(parameters: Parameters, values: Tensor) -> None:
            step_number = next(step_numbers)
            fraction = (work_done + step_number * octave.area) / total_work
            on_step(AscentState(fraction, step_number == ascent.steps, photos, values, parameters, render))

        def make_start() -> Tensor:
            if change is not None:
                return base + resize(change, octave.height, octave.width)
            return pyramid.tone(photos, mask) if initial_change is None else base

        # No variable holds the start: for a large picture that would be one more copy until the octave ends.
        final_parameters = optimizer.ascend(
            parameterization.initialize(
                ops.clip(make_start(), -1, 1),
                photos,
                seeds,
            ),
            _alternate_views(_list_views(octave, ascent.view_scale), make_gradient_fn),
            mask if parameterization.is_pixels else np.ones((1, 1, 1, 1), np.float32),
            step_sizes,
            report_step,
        )
        return render(final_parameters) - base

    for size in octaves:
        change = ascend_octave(size)
        work_done += ascent.steps * size.area


def _list_views(octave: Octave, smallest_scale: float) -> list[Octave]:
    """List the sizes at which an octave is seen, the octave itself last."""
    scales = np.linspace(smallest_scale, 1, VIEW_COUNT)[:-1] if smallest_scale < 1 else ()
    return [
        *(Octave(*(_round_side(side * scale) for side in (octave.height, octave.width))) for scale in scales),
        octave,
    ]


def _round_side(side: float) -> int:
    return max(1, round(side / VIEW_SIDE_MULTIPLE)) * VIEW_SIDE_MULTIPLE


def _alternate_views(views: Sequence[Octave], make_gradient_fn: Callable[[Octave], GradientFn]) -> GradientFn:
    """Return a gradient function that sees the picture at a random one of some sizes each time, at each equally often.

    make_gradient_fn: called for each size when it is first seen.
    """
    rng = np.random.default_rng(VIEW_SEED)
    order: list[int] = []
    gradient_fns: dict[int, GradientFn] = {}

    def compute(parameters: Parameters) -> tuple[Tensor, Parameters]:
        if not order:
            order.extend(rng.permutation(len(views)).tolist())
        index = order.pop()
        if index not in gradient_fns:
            gradient_fns[index] = make_gradient_fn(views[index])
        return gradient_fns[index](parameters)

    return compute


def _add_random_shifts(
    gradient_fn: ShiftedGradientFn, octave: Octave, jitter: int, generators: Sequence[np.random.Generator]
) -> GradientFn:
    """Shift each picture at random at every evaluation, far enough to hide the borders of tiles if there are any."""
    max_shift = max(jitter, MAX_TILE_SIDE if max(octave.height, octave.width) > MAX_UNTILED_SIDE else 0)

    def compute_shifted(parameters: Parameters) -> tuple[Tensor, Parameters]:
        shifts = [
            generator.integers(-max_shift, max_shift, 2, dtype=np.int32, endpoint=True) for generator in generators
        ]
        return gradient_fn(parameters, np.stack(shifts))

    return compute_shifted
