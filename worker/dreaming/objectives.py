"""What an ascent climbs. Objectives are values: they add up, and a number scales them (after lucid).

An objective scores each picture of a batch by itself. What does not belong to the picture (the photo it comes from, an
artwork) is turned into targets once, by an `Aim`, and handed to the score with what a network sees in the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from shared.recipe.objective import Channels, Classes, Content, Guide, Layers, Style, Term, Variation
from worker.backend import Tensor
from worker.networks.network import Network

#: What an aim is taken from where it is not an artwork: the photo, or numbers that are given for each dream.
PHOTO_SOURCE, RUNTIME_SOURCE = "photo", "given"

#: Longest side in pixels at which a guide is looked at: each place of the picture is compared with each of the guide.
MAX_GUIDE_SIDE = 256

#: Keeps a division by what nothing excited finite.
ACTIVATION_EPSILON = 1e-12


@dataclass(frozen=True)
class ObjectiveInputs:
    """A batch of pictures, seen by a network."""

    #: (batch, height, width, 3) float32 in [-1, 1].
    picture: Tensor
    #: Layer → its activations, (batch, rows, columns, channels) float32.
    activations: Mapping[str, Tensor]
    #: Key of an aim → its target; (batch, …), or (1, …) for all of them.
    target_values: Mapping[str, Tensor]


@dataclass(frozen=True)
class Target:
    """Something that the picture is compared with."""

    key: str
    #: PHOTO, GIVEN, or the reference of an artwork.
    source: str
    layer: str
    #: From the activations of the layer for the source, (batch, rows, columns, channels), to the target.
    compute: Callable[[Tensor], Tensor]
    #: Dimensions of the target.
    rank: int
    #: An artwork is shown with its long side no longer than this, nor than the picture's.
    max_side: int = 1 << 16


@dataclass(frozen=True)
class Objective:
    """A number that a picture should make large."""

    #: The layers of the picture that it looks at.
    layers: tuple[str, ...]
    #: One value for each picture: (batch,) float32.
    score: Callable[[ObjectiveInputs], Tensor]
    targets: tuple[Target, ...] = ()

    def __add__(self, other: Objective) -> Objective:
        layers = tuple(dict.fromkeys(self.layers + other.layers))
        aims = tuple({aim.key: aim for aim in self.targets + other.targets}.values())
        return Objective(layers, lambda view: self.score(view) + other.score(view), aims)

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.layers, lambda view: factor * self.score(view), self.targets)

    __rmul__ = __mul__


def layer(name: str, measure: str = "mean-square") -> Objective:
    """Make a whole layer fire: the mean square, or the mean, of its activations."""
    power = {"mean-square": ops.square, "mean": ops.convert_to_tensor}[measure]
    return Objective((name,), lambda view: ops.mean(power(view.activations[name]), axis=(1, 2, 3)))


def channels(name: str, indices: Sequence[int]) -> Objective:
    """Make some channels of a layer fire: the mean of their activations."""
    chosen = list(indices)
    return Objective((name,), lambda view: ops.mean(ops.take(view.activations[name], chosen, axis=-1), axis=(1, 2, 3)))


def classes(name: str, key: str) -> Objective:
    """Make a mix of classes fire: the mean over a class map of its logits, weighed by a vector that is given.

    key: of the vector, (1, classes). It is no part of what is compiled, so that all painters share one program.
    """
    aim = Target(key, RUNTIME_SOURCE, name, lambda seen: seen, 2)

    def score(inputs: ObjectiveInputs) -> Tensor:
        return ops.sum(ops.mean(inputs.activations[name], axis=(1, 2)) * inputs.target_values[key], axis=-1)

    return Objective((name,), score, (aim,))


def guide(name: str, reference: str) -> Objective:
    """Follow an artwork: the mean over all places of the dot product with the place of the artwork that matches best.

    After the guided objective of “Inceptionism” (2015). Divided by the mean square of the artwork's activations.
    """
    aim = Target(
        f"guide {name} {reference}",
        reference,
        name,
        lambda seen: _flatten_positions(seen) / _mean_square(seen),
        3,
        MAX_GUIDE_SIDE,
    )

    def score(inputs: ObjectiveInputs) -> Tensor:
        places = _flatten_positions(inputs.activations[name])
        matches = ops.matmul(places, ops.transpose(inputs.target_values[aim.key], (0, 2, 1)))
        return ops.mean(ops.max(matches, axis=-1), axis=-1) / ops.cast(ops.shape(places)[-1], "float32")

    return Objective((name,), score, (aim,))


def style(name: str, reference: str) -> Objective:
    """Take on an artwork's style: minus the squared distance of the Gram matrices, relative to the artwork's own.

    Gatys, Ecker and Bethge, “A Neural Algorithm of Artistic Style” (arXiv 1508.06576). 0 is its style; a picture that
    excites nothing has -1.
    """
    aim = Target(f"style {name} {reference}", reference, name, gram_matrix, 3)

    def score(inputs: ObjectiveInputs) -> Tensor:
        target = inputs.target_values[aim.key]
        return -_relative_squared_error(gram_matrix(inputs.activations[name]) - target, target, axes=(1, 2))

    return Objective((name,), score, (aim,))


def content(name: str) -> Objective:
    """Stay the photo: minus the squared distance of a layer's activations, relative to those of the photo."""
    aim = Target(f"content {name}", PHOTO_SOURCE, name, lambda seen: seen, 4)

    def score(inputs: ObjectiveInputs) -> Tensor:
        target = inputs.target_values[aim.key]
        return -_relative_squared_error(inputs.activations[name] - target, target, axes=(1, 2, 3))

    return Objective((name,), score, (aim,))


def variation() -> Objective:
    """Stay calm: minus the total variation, as the mean squared difference of neighbouring pixels."""

    def score(inputs: ObjectiveInputs) -> Tensor:
        down = inputs.picture[:, 1:] - inputs.picture[:, :-1]
        right = inputs.picture[:, :, 1:] - inputs.picture[:, :, :-1]
        return -ops.mean(ops.square(down), axis=(1, 2, 3)) - ops.mean(ops.square(right), axis=(1, 2, 3))

    return Objective((), score)


def gram_matrix(activations: Tensor) -> Tensor:
    """Return how often channels fire together: (batch, rows, columns, channels) → (batch, channels, channels)."""
    places = _flatten_positions(activations)
    return ops.matmul(ops.transpose(places, (0, 2, 1)), places) / ops.cast(ops.shape(places)[1], "float32")


def build_objective(terms: Sequence[Term], network: Network) -> Objective:
    """Turn what a recipe says into an objective. Raises ArtDreamError for a channel or class the network lacks."""
    first, *others = (
        term.weight * _build_term(term, network, _format_classes_key(index)) for index, term in enumerate(terms)
    )
    return sum(others, start=first)


def build_runtime_inputs(terms: Sequence[Term], network: Network) -> dict[str, NDArray[np.float32]]:
    """Return what the objective of some terms is to be given: key → (1, classes).

    Raises ArtDreamError for a class that the network lacks.
    """
    found = {}
    for index, term in enumerate(terms):
        if isinstance(term, Classes):
            mix = np.zeros((1, len(network.classes)), np.float32)
            for name in term.classes:
                mix[0, network.class_index(name)] += 1 / len(term.classes)
            found[_format_classes_key(index)] = mix
    return found


def extract_static_terms(terms: Sequence[Term]) -> list[dict[str, Any]]:
    """Return what of some terms is compiled: all but which classes they ask for."""
    return [term.model_dump(mode="json", exclude={"classes"}) for term in terms]


def _format_classes_key(index: int) -> str:
    return f"classes {index}"


def _build_term(term: Term, network: Network, key: str) -> Objective:
    match term:
        case Layers():
            return _sum_weighted(term.layers, lambda name: layer(name, term.measure))
        case Channels():
            count = network.channel_count(term.layer)
            if max(term.channels) >= count:
                raise ArtDreamError(
                    f"The layer {term.layer} of the network {network.name} has no channel {max(term.channels)}: "
                    f"its {count} channels are 0 to {count - 1}."
                )
            return channels(term.layer, term.channels)
        case Classes():
            network.class_index(term.classes[0])  # asked for its error
            return classes(str(network.class_map), key)
        case Guide():
            return _sum_weighted(term.layers, lambda name: guide(name, term.reference))
        case Style():
            return _sum_weighted(term.layers, lambda name: style(name, term.reference))
        case Content():
            return _sum_weighted(term.layers, content)
        case Variation():
            return variation()


def _sum_weighted(weights: Mapping[str, float], make_objective: Callable[[str], Objective]) -> Objective:
    first, *others = (weight * make_objective(name) for name, weight in weights.items())
    return sum(others, start=first)


def _flatten_positions(activations: Tensor) -> Tensor:
    """Line up the places of a map: (batch, rows, columns, channels) → (batch, rows × columns, channels)."""
    return ops.reshape(activations, (ops.shape(activations)[0], -1, activations.shape[-1]))


def _mean_square(activations: Tensor) -> Tensor:
    return ops.mean(ops.square(activations)) + ACTIVATION_EPSILON


def _relative_squared_error(difference: Tensor, expected: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.sum(ops.square(difference), axis=axes) / (ops.sum(ops.square(expected), axis=axes) + ACTIVATION_EPSILON)
