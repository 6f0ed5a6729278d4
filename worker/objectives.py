"""What an ascent climbs. Objectives are values: they add up, and a number scales them (after lucid)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keras import ops

from shared.recipe import Layers
from worker.backend import Tensor

#: Layer name → its activations, (batch, height, width, channels) float32.
Activations = Mapping[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """A number that a picture should make large, told from what some layers of a network see in it."""

    #: The layers it looks at.
    layers: tuple[str, ...]
    #: From their activations to one value for each picture of the batch: (batch,) float32.
    score: Callable[[Activations], Tensor]

    def __add__(self, other: Objective) -> Objective:
        layers = tuple(dict.fromkeys(self.layers + other.layers))
        return Objective(layers, lambda seen: self.score(seen) + other.score(seen))

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.layers, lambda seen: factor * self.score(seen))

    __rmul__ = __mul__


def layer(name: str) -> Objective:
    """Make a whole layer fire: the mean square of its activations."""
    return Objective((name,), lambda seen: ops.mean(ops.square(seen[name]), axis=(1, 2, 3)))


def objective_of(spec: Layers) -> Objective:
    """Turn what a recipe says into an objective."""
    first, *others = (weight * layer(name) for name, weight in spec.layers.items())
    return sum(others, start=first)
