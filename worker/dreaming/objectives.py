"""The objectives of gradient ascent. Objectives are values: they can be added, and scaled by a number (after lucid).

An objective scores each picture of a batch separately. It may compare the picture with something else, such as its
photo or an artwork: a `Target` computes that once, and the score receives it with the activations of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from shared.recipe.objective import Channels, Classes, Content, Grain, Guide, Layers, Palette, Style, Term, Variation
from worker.backend import Tensor
from worker.dreaming.color_transfer import Toning
from worker.dreaming.style_measures import grain, gram_matrix, palette_distance
from worker.networks.network import Network
from worker.networks.style_statistics import StyleStatistics

#: Sources of a target other than an artwork: the photo, or runtime inputs, which differ from dream to dream.
PHOTO_SOURCE, RUNTIME_SOURCE = "photo", "given"

#: Longest side of a guide in pixels: each position of the picture is compared with each position of the guide.
MAX_GUIDE_SIDE = 256

#: Keeps a division by activations that are all 0 finite.
ACTIVATION_EPSILON = 1e-12


@dataclass(frozen=True)
class ObjectiveInputs:
    """A batch of pictures with its activations and targets."""

    #: (batch, height, width, 3) float32 in [-1, 1].
    picture: Tensor
    #: Layer → its activations, (batch, rows, columns, channels) float32.
    activations: Mapping[str, Tensor]
    #: Target key → its value; (batch, …), or (1, …) for all pictures.
    target_values: Mapping[str, Tensor]


@dataclass(frozen=True)
class Target:
    """A value that the picture is compared with."""

    key: str
    #: PHOTO_SOURCE, RUNTIME_SOURCE, or the reference of an artwork.
    source: str
    layer: str
    #: From the activations of the layer for the source, (batch, rows, columns, channels), to the value.
    compute: Callable[[Tensor], Tensor]
    #: Number of dimensions of the value.
    rank: int
    #: Limit of an artwork's long side in pixels. The long side of the picture is another limit.
    max_side: int = 1 << 16


@dataclass(frozen=True)
class Objective:
    """A score that gradient ascent maximises."""

    #: Layers whose activations the score uses.
    layers: tuple[str, ...]
    #: Returns one value for each picture: (batch,) float32.
    score: Callable[[ObjectiveInputs], Tensor]
    targets: tuple[Target, ...] = ()

    def __add__(self, other: Objective) -> Objective:
        layers = tuple(dict.fromkeys(self.layers + other.layers))
        targets = tuple({target.key: target for target in self.targets + other.targets}.values())
        return Objective(layers, lambda inputs: self.score(inputs) + other.score(inputs), targets)

    def __mul__(self, factor: float) -> Objective:
        return Objective(self.layers, lambda inputs: factor * self.score(inputs), self.targets)

    __rmul__ = __mul__


def layer(name: str, measure: str = "mean-square") -> Objective:
    """Excite a whole layer: maximise the mean square, or the mean, of its activations.

    measure: "mean-square" or "mean".
    """
    power = {"mean-square": ops.square, "mean": ops.convert_to_tensor}[measure]
    return Objective((name,), lambda inputs: ops.mean(power(inputs.activations[name]), axis=(1, 2, 3)))


def channels(name: str, indices: Sequence[int]) -> Objective:
    """Excite some channels of a layer: maximise the mean of their activations."""
    index_list = list(indices)
    return Objective(
        (name,), lambda inputs: ops.mean(ops.take(inputs.activations[name], index_list, axis=-1), axis=(1, 2, 3))
    )


def classes(name: str, key: str, measure: str = "logit") -> Objective:
    """Excite a mix of classes: maximise the mean over a class map, weighted by a vector.

    measure: what of the class map, "logit" or "log-probability". key: key of the vector, (1, classes), in the runtime
    inputs. The vector is not compiled, so all artists share one program.
    """
    target = Target(key, RUNTIME_SOURCE, name, lambda activations: activations, 2)
    transform = {"logit": ops.convert_to_tensor, "log-probability": ops.log_softmax}[measure]

    def score(inputs: ObjectiveInputs) -> Tensor:
        values = transform(inputs.activations[name])
        return ops.sum(ops.mean(values, axis=(1, 2)) * inputs.target_values[key], axis=-1)

    return Objective((name,), score, (target,))


def guide(name: str, reference: str) -> Objective:
    """Follow an artwork: maximise the mean over all positions of the dot product with its best-matching position.

    After the guided objective of “Inceptionism” (2015). Divided by the mean square of the artwork's activations.
    """
    target = Target(
        f"guide {name} {reference}",
        reference,
        name,
        lambda activations: _flatten_positions(activations) / _mean_square(activations),
        3,
        MAX_GUIDE_SIDE,
    )

    def score(inputs: ObjectiveInputs) -> Tensor:
        positions = _flatten_positions(inputs.activations[name])
        matches = ops.matmul(positions, ops.transpose(inputs.target_values[target.key], (0, 2, 1)))
        return ops.mean(ops.max(matches, axis=-1), axis=-1) / ops.cast(ops.shape(positions)[-1], "float32")

    return Objective((name,), score, (target,))


def style(name: str, source: str, key: str = "") -> Objective:
    """Take on a style: minus the squared distance of the Gram matrices, relative to those of the style.

    Gatys, Ecker and Bethge, “A Neural Algorithm of Artistic Style” (arXiv 1508.06576). The score is 0 for the style
    itself, and -1 for a picture whose activations are all 0. source: the reference of an artwork, or RUNTIME_SOURCE;
    then key is that of the Gram matrix, (1 or batch, channels, channels), in the runtime inputs.
    """
    target = Target(key or f"style {name} {source}", source, name, gram_matrix, 3)

    def score(inputs: ObjectiveInputs) -> Tensor:
        expected = inputs.target_values[target.key]
        return -_relative_squared_error(gram_matrix(inputs.activations[name]) - expected, expected, axes=(1, 2))

    return Objective((name,), score, (target,))


def content(name: str) -> Objective:
    """Stay close to the photo: minus the squared distance of a layer's activations, relative to the photo's own."""
    target = Target(f"content {name}", PHOTO_SOURCE, name, lambda activations: activations, 4)

    def score(inputs: ObjectiveInputs) -> Tensor:
        expected = inputs.target_values[target.key]
        return -_relative_squared_error(inputs.activations[name] - expected, expected, axes=(1, 2, 3))

    return Objective((name,), score, (target,))


def palette(key: str) -> Objective:
    """Take on a palette: minus the squared distance of the colours, of Lab ÷ 100 (`style_measures.palette_distance`).

    key: key of the palette, (1 or batch, directions, quantiles), in the runtime inputs.
    """
    target = Target(key, RUNTIME_SOURCE, "", lambda values: values, 3)
    return Objective((), lambda inputs: -palette_distance(inputs.picture, inputs.target_values[key]), (target,))


def grain_like(key: str) -> Objective:
    """Take on a grain: minus the mean squared difference of the logarithms of the powers (`style_measures.grain`).

    key: key of the grain, (1 or batch, bands), in the runtime inputs.
    """
    target = Target(key, RUNTIME_SOURCE, "", lambda values: values, 2)

    def score(inputs: ObjectiveInputs) -> Tensor:
        return -ops.mean(ops.square(grain(inputs.picture) - inputs.target_values[key]), axis=-1)

    return Objective((), score, (target,))


def variation() -> Objective:
    """Stay smooth: minus the variation, the mean squared difference of neighbouring pixels."""

    def score(inputs: ObjectiveInputs) -> Tensor:
        down = inputs.picture[:, 1:] - inputs.picture[:, :-1]
        right = inputs.picture[:, :, 1:] - inputs.picture[:, :, :-1]
        return -ops.mean(ops.square(down), axis=(1, 2, 3)) - ops.mean(ops.square(right), axis=(1, 2, 3))

    return Objective((), score)


def build_objective(terms: Sequence[Term], network: Network) -> Objective:
    """Build the objective of a recipe's terms. Raises ArtDreamError for a channel or class missing in the network."""
    first, *others = (term.weight * _build_term(term, network, _format_key(index)) for index, term in enumerate(terms))
    return sum(others, start=first)


def needs_style_statistics(terms: Sequence[Term]) -> bool:
    """Return whether some term asks for the style of an artist's works."""
    return any(_get_artist(term) for term in terms)


def build_runtime_inputs(
    terms: Sequence[Term], network: Network, statistics: StyleStatistics | None, seeds: Sequence[int]
) -> dict[str, NDArray[np.float32]]:
    """Return the runtime inputs of the terms' objective: target key → values, (1 or batch, …) float32.

    statistics: those of the network's artists, if a term needs them. seeds: one for each picture; it draws the
    work. Raises ArtDreamError for a class that the network does not have, and if statistics are missing.
    """
    runtime_inputs: dict[str, NDArray[np.float32]] = {}
    for index, term in enumerate(terms):
        key = _format_key(index)
        if isinstance(term, Classes):
            class_weights = np.zeros((1, len(network.classes)), np.float32)
            for name in term.classes:
                class_weights[0, network.class_index(name)] += 1 / len(term.classes)
            runtime_inputs[key] = class_weights
        elif artist := _get_artist(term):
            if statistics is None:
                raise ArtDreamError(
                    f"The network {network.name} has no style statistics: make them with `artdream styles`."
                )
            channel = network.class_index(artist)
            works = [statistics.draw_work(channel, seed) for seed in seeds]
            match term:
                case Style():
                    for name in term.layers:
                        grams = [statistics.gram_matrix(name, work) for work in works]
                        runtime_inputs[f"{key} {name}"] = np.stack(grams)
                case Palette():
                    runtime_inputs[key] = statistics.palettes[works]
                case Grain():
                    runtime_inputs[key] = statistics.grains[works]
    return runtime_inputs


def find_toning(terms: Sequence[Term], runtime_inputs: Mapping[str, NDArray[np.float32]]) -> Toning | None:
    """Return how the terms want photos to be toned before the first step; None if no term does.

    runtime_inputs: those of `build_runtime_inputs`, which hold the palettes.
    """
    for index, term in enumerate(terms):
        if isinstance(term, Palette) and term.toning:
            return Toning(runtime_inputs[_format_key(index)], term.toning)
    return None


def extract_static_terms(terms: Sequence[Term]) -> list[dict[str, Any]]:
    """Return the compiled part of some terms as JSON data: everything except the classes and artists asked for."""
    return [
        term.model_dump(mode="json", exclude={"classes", "toning", "artist"})
        | {"artist": _get_artist(term) is not None}
        for term in terms
    ]


def _get_artist(term: Term) -> str | None:
    """Return the artist whose works a term is about, None if it is about none."""
    return term.artist if isinstance(term, Style | Palette | Grain) else None


def _format_key(index: int) -> str:
    """Return the key of a term's runtime input."""
    return f"term {index}"


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
            network.class_index(term.classes[0])  # raises ArtDreamError for a network without classes
            return classes(str(network.class_map), key, term.measure)
        case Guide():
            return _sum_weighted(term.layers, lambda name: guide(name, term.reference))
        case Style():
            if term.reference is None:
                return _sum_weighted(term.layers, lambda name: style(name, RUNTIME_SOURCE, f"{key} {name}"))
            reference = term.reference
            return _sum_weighted(term.layers, lambda name: style(name, reference))
        case Palette():
            return palette(key)
        case Grain():
            return grain_like(key)
        case Content():
            return _sum_weighted(term.layers, content)
        case Variation():
            return variation()


def _sum_weighted(weights: Mapping[str, float], make_objective: Callable[[str], Objective]) -> Objective:
    first, *others = (weight * make_objective(name) for name, weight in weights.items())
    return sum(others, start=first)


def _flatten_positions(activations: Tensor) -> Tensor:
    """Flatten the positions of a map: (batch, rows, columns, channels) → (batch, rows × columns, channels)."""
    return ops.reshape(activations, (ops.shape(activations)[0], -1, activations.shape[-1]))


def _mean_square(activations: Tensor) -> Tensor:
    return ops.mean(ops.square(activations)) + ACTIVATION_EPSILON


def _relative_squared_error(difference: Tensor, expected: Tensor, axes: tuple[int, ...]) -> Tensor:
    return ops.sum(ops.square(difference), axis=axes) / (ops.sum(ops.square(expected), axis=axes) + ACTIVATION_EPSILON)
