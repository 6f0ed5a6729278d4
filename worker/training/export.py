"""A trained network as files: its weights, and cards that tell what it is, to people and to programs."""

import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from worker.backend.precision import choose_precision
from worker.networks.loaders.keras_file import load_keras_file
from worker.networks.metadata import EvaluationScore, NetworkMetadata, TrainingRecord
from worker.networks.network import Network, softmax
from worker.networks.transform.flatten import clone_layer
from worker.training.backbones import HEAD_LAYER
from worker.training.dataset import PARTS, Dataset, Painting
from worker.training.evaluation import Evaluation, evaluate
from worker.training.feature_extraction import extract_features
from worker.training.input_pipeline import Floats
from worker.training.model_card import render_model_card
from worker.training.trainer import TrainingResult

#: A network may know pictures best at a larger side than it learned at, since it learned from pieces of them (Touvron
#: et al., “Fixing the train-test resolution discrepancy”, arXiv 1906.06423), and better at two than at one: these
#: shares of it are tried, singly and in pairs.
SIDE_FACTORS = (1.0, 8 / 7, 9 / 7, 10 / 7)


class ExportedNetwork(NamedTuple):
    """A trained network."""

    content: bytes
    metadata: NetworkMetadata
    evaluation: Evaluation

    @property
    def files(self) -> dict[str, bytes]:
        """The files that belong together, by name."""
        return {
            "network.keras": self.content,
            "network.json": self.metadata.model_dump_json(indent=1).encode(),
            "README.md": render_model_card(self.metadata, self.evaluation).encode(),
        }


#: Keeps a logarithm finite.
PROBABILITY_EPSILON = 1e-9


def export_network(
    name: str, trained: TrainingResult, dataset: Dataset, *, command: str, licence: str
) -> ExportedNetwork:
    """Make the files of a trained network, and evaluate it as it will be loaded.

    name: `artist/<name>`. The sides at which it looks at pictures are those that do best on the part `val`.
    """
    diary = trained.history
    best = diary.best
    lesson = TrainingRecord(
        backbone=diary.plan.backbone,
        from_imagenet=trained.is_pretrained,
        data=diary.data,
        pictures={part: len(dataset.get_part(part)) for part in PARTS},
        plan=diary.plan.model_dump(),
        epochs=len(diary.epochs),
        best=best.epoch + 1 if best else 0,
        command=command,
    )
    card = NetworkMetadata(
        classes=dataset.artists, licence=licence, source=f"trained from {diary.plan.backbone}", lesson=lesson
    )
    network = load_keras_file(name, serialize_network(trained.model), card, choose_precision("auto"))
    answers, told = _predict_log_probabilities(network, diary.plan.side, dataset.get_part("val"))
    sides = _choose_sides(answers, told)
    _calibrate(trained.model, _average_over_sides(answers, sides), told)
    content = serialize_network(trained.model)
    card = card.model_copy(update={"side": sides[0], "further_sides": sides[1:]})
    network = load_keras_file(name, content, card, choose_precision("auto"))
    evaluation = evaluate(network, dataset.get_part("test"), dataset.artists)
    score = EvaluationScore(**{field: getattr(evaluation, field) for field in EvaluationScore.model_fields})
    return ExportedNetwork(content, card.model_copy(update={"score": score}), evaluation)


def _predict_log_probabilities(
    network: Network, training_side: int, paintings: Sequence[Painting]
) -> tuple[dict[int, Floats], NDArray[np.int64]]:
    """Return logarithms of what a network answers at each side that is tried, (pictures, classes), and the truth."""
    answers: dict[int, Floats] = {}
    for side in dict.fromkeys(round(training_side * share) for share in SIDE_FACTORS):
        answers[side] = np.log(
            extract_features(replace(network, sides=(side,)), paintings).probabilities + PROBABILITY_EPSILON
        )
    return answers, np.array([one.artist for one in paintings])


def _choose_sides(log_probabilities: Mapping[int, Floats], labels: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the side, or the two, at which most pictures are named rightly."""
    tried = [*((side,) for side in log_probabilities), *itertools.combinations(log_probabilities, 2)]
    return max(
        tried, key=lambda sides: float(np.mean(_average_over_sides(log_probabilities, sides).argmax(axis=1) == labels))
    )


def _average_over_sides(log_probabilities: Mapping[int, Floats], sides: Sequence[int]) -> Floats:
    return np.asarray(np.mean([log_probabilities[side] for side in sides], axis=0), np.float32)


def _calibrate(model: keras.Model, log_probabilities: Floats, labels: NDArray[np.int64]) -> None:
    """Let a network be as sure as it is right: divide its logits by the temperature that suits pictures best.

    Smoothed and mixed lessons leave it less sure than it may be (Guo et al., arXiv 1706.04599). Nobody's place changes.
    """
    from scipy.optimize import minimize_scalar

    def cross_entropy(log_temperature: float) -> float:
        return -float(
            np.mean(
                np.log(
                    softmax(log_probabilities / np.exp(log_temperature))[np.arange(len(labels)), labels]
                    + PROBABILITY_EPSILON
                )
            )
        )

    temperature = np.exp(minimize_scalar(cross_entropy, bounds=(-2, 2), method="bounded").x)
    head = model.get_layer(HEAD_LAYER)
    head.set_weights([weights / temperature for weights in head.get_weights()])


def serialize_network(model: keras.Model) -> bytes:
    """Return the `.keras` file of a model with weights in float16: half as large, and more than bfloat16 ever reads."""

    def clone_as_float16(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        return clone_layer(layer, layer.name, "float16")(*arguments, **keywords)

    picture = keras.Input((None, None, 3), name="picture")
    out = model._run_through_graph(picture, operation_fn=lambda layer: layer, call_fn=clone_as_float16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        keras.Model(picture, out, name=model.name).save(path)
        return path.read_bytes()
