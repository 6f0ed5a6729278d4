"""Gradient ascent over octaves: what makes a picture into a dream.

DeepDream: A. Mordvintsev, C. Olah and M. Tyka, "Inceptionism" (2015). The ascent starts small, where a network's
features are large against the picture, and carries what it changed up to the next octave, where the photo's own detail
comes back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.recipe import Ascent
from worker.backend import Tensor, compiled, resized, value_and_gradient
from worker.laplacian import normalised
from worker.networks.network import Network
from worker.objectives import Objective

#: Octaves are multiples of this, so that their Laplacian levels halve without remainder.
GRAIN = 16

#: An octave with a shorter side shows a network too little to recognise anything, and is left out.
SMALLEST = 64

#: From a picture, a shift (rows, columns) and a length to the picture after one step and the value before it.
Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Octave:
    """One scale of the pyramid, in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Moment:
    """Where an ascent is after one of its steps."""

    #: The share of the work that is done, 0 to 1, counted in pixels.
    fraction: float
    #: The photo and what has become of it, at the size of the octave: (1, height, width, 3) in [-1, 1].
    photo: Tensor
    picture: Tensor
    #: The objective's value before the step: (1,).
    value: Tensor

    @property
    def change(self) -> Tensor:
        """What the ascent added to the photo: (1, height, width, 3)."""
        return self.picture - self.photo


def octaves(height: int, width: int, ascent: Ascent) -> list[Octave]:
    """List the octaves of a canvas, smallest first; the last is the canvas itself."""
    sizes = [Octave(height, width)]
    for exponent in range(1, ascent.octaves):
        scale = ascent.octave_scale**-exponent
        smaller = Octave(*(max(GRAIN, round(side * scale / GRAIN) * GRAIN) for side in (height, width)))
        if min(smaller.height, smaller.width) >= SMALLEST and smaller != sizes[0]:
            sizes.insert(0, smaller)
    return sizes


def compiled_step(network: Network, objective: Objective, levels: int) -> Step:
    """Compile one step of an ascent, for pictures of any size.

    Raises ArtDreamError where the objective names a layer that the network does not have.
    """
    features = network.features(objective.layers)

    def score(picture: Tensor) -> Tensor:
        return objective.score(features(picture, training=False))

    def step(picture: Tensor, shift: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        shifted = ops.roll(picture, shift, (1, 2))
        value, gradient = value_and_gradient(score, shifted)
        climbed = ops.clip(shifted + length * normalised(gradient, levels), -1, 1)
        return ops.roll(climbed, -shift, (1, 2)), value

    return compiled(step, takes=[((None, None, None, 3), "float32"), ((2,), "int32"), ((), "float32")])


def ascend(
    step: Step, photo_at: Callable[[Octave], NDArray[np.float32]], sizes: list[Octave], ascent: Ascent, seed: int
) -> Iterator[Moment]:
    """Climb octave after octave, telling after every step where it is.

    photo_at: gives the photo at the size of an octave, (1, height, width, 3) in [-1, 1]. seed: draws the shifts.
    """
    chance = np.random.default_rng(seed)
    length = ops.convert_to_tensor(ascent.step, "float32")
    work = ascent.steps * sum(size.height * size.width for size in sizes)
    done = 0
    change: Tensor = np.zeros((1, 1, 1, 3), np.float32)
    for size in sizes:
        photo = ops.convert_to_tensor(photo_at(size))
        picture = ops.clip(photo + resized(change, size.height, size.width), -1, 1)
        for _ in range(ascent.steps):
            shift = chance.integers(-ascent.jitter, ascent.jitter, 2, dtype=np.int32, endpoint=True)
            picture, value = step(picture, ops.convert_to_tensor(shift), length)
            done += size.height * size.width
            yield Moment(done / work, photo, picture, value)
        change = picture - photo
