"""Export a trained network: its weights, and its description as metadata and as a model card."""

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
from worker.networks.metadata import EvaluationScore, NetworkMetadata, RobustnessScore, TrainingRecord
from worker.networks.network import Network, softmax
from worker.networks.transform.flatten import clone_layer
from worker.training.adversary import Adversary, evaluate_attacked
from worker.training.backbones import HEAD_LAYER
from worker.training.config import TrainingConfig
from worker.training.dataset import PARTS, Dataset, Painting
from worker.training.evaluation import Evaluation, evaluate
from worker.training.feature_extraction import extract_features
from worker.training.input_pipeline import Floats, ValidationBatches
from worker.training.model_card import render_model_card
from worker.training.trainer import TrainingResult

#: Multiples of the training side that are tried for predictions, singly and in pairs. A network trained on crops may
#: predict best at a larger side (Touvron et al., “Fixing the train-test resolution discrepancy”, arXiv 1906.06423), and
#: better with two sides than with one.
SIDE_FACTORS = (1.0, 8 / 7, 9 / 7, 10 / 7)


class ExportedNetwork(NamedTuple):
    """A trained network, its metadata and its evaluation."""

    content: bytes
    metadata: NetworkMetadata
    evaluation: Evaluation

    @property
    def files(self) -> dict[str, bytes]:
        """The contents of the network's files, by name."""
        return {
            "network.keras": self.content,
            "network.json": self.metadata.model_dump_json(indent=1).encode(),
            "README.md": render_model_card(self.metadata, self.evaluation).encode(),
        }


#: Steps of the attack under which a robust network is evaluated.
EVALUATION_ATTACK_STEPS = 20

#: Added to probabilities to keep their logarithms finite.
PROBABILITY_EPSILON = 1e-9


def export_network(
    name: str, trained: TrainingResult, dataset: Dataset, *, command: str, licence: str
) -> ExportedNetwork:
    """Build the files of a trained network, and evaluate it as it will be loaded.

    name: `artist/<name>`. command, licence: recorded in the metadata. The network's sides for predictions are those
    that score best on the part `val`; the evaluation is on the part `test`.
    """
    history = trained.history
    best_epoch = history.best
    training_record = TrainingRecord(
        backbone=history.plan.backbone,
        from_imagenet=trained.is_pretrained,
        data=history.data,
        pictures={part: len(dataset.get_part(part)) for part in PARTS},
        plan=history.plan.model_dump(),
        epochs=len(history.epochs),
        best=best_epoch.epoch + 1 if best_epoch else 0,
        command=command,
    )
    metadata = NetworkMetadata(
        classes=dataset.artists,
        licence=licence,
        source=f"trained from {history.plan.initial_network or history.plan.backbone}",
        lesson=training_record,
    )
    network = load_keras_file(name, serialize_network(trained.model), metadata, choose_precision("auto"))
    log_probabilities, labels = _predict_log_probabilities(network, history.plan.side, dataset.get_part("val"))
    sides = _choose_sides(log_probabilities, labels)
    _calibrate(trained.model, _average_over_sides(log_probabilities, sides), labels)
    content = serialize_network(trained.model)
    metadata = metadata.model_copy(update={"side": sides[0], "further_sides": sides[1:]})
    network = load_keras_file(name, content, metadata, choose_precision("auto"))
    evaluation = evaluate(network, dataset.get_part("test"), dataset.artists)
    score = EvaluationScore(**{field: getattr(evaluation, field) for field in EvaluationScore.model_fields})
    robustness = _evaluate_robustness(trained.model, dataset, history.plan) if history.plan.epsilon else None
    return ExportedNetwork(content, metadata.model_copy(update={"score": score, "robustness": robustness}), evaluation)


def _evaluate_robustness(model: keras.Model, dataset: Dataset, config: TrainingConfig) -> RobustnessScore:
    paintings = dataset.get_part("test")
    batches = ValidationBatches(paintings, len(dataset.artists), config)
    result = evaluate_attacked(model, Adversary(model), batches, config, EVALUATION_ATTACK_STEPS)
    return RobustnessScore(
        pictures=len(paintings),
        side=config.side,
        epsilon=config.epsilon,
        steps=EVALUATION_ATTACK_STEPS,
        top1=result.accuracy,
        attacked_top1=result.attacked_accuracy,
    )


def _predict_log_probabilities(
    network: Network, training_side: int, paintings: Sequence[Painting]
) -> tuple[dict[int, Floats], NDArray[np.int64]]:
    """Return log probabilities by side, (pictures, classes) each, and the true artists, (pictures,)."""
    log_probabilities: dict[int, Floats] = {}
    for side in dict.fromkeys(round(training_side * factor) for factor in SIDE_FACTORS):
        log_probabilities[side] = np.log(
            extract_features(replace(network, sides=(side,)), paintings).probabilities + PROBABILITY_EPSILON
        )
    return log_probabilities, np.array([painting.artist for painting in paintings])


def _choose_sides(log_probabilities: Mapping[int, Floats], labels: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the side, or the two sides, with the highest accuracy."""
    candidates = [*((side,) for side in log_probabilities), *itertools.combinations(log_probabilities, 2)]
    return max(
        candidates,
        key=lambda sides: float(np.mean(_average_over_sides(log_probabilities, sides).argmax(axis=1) == labels)),
    )


def _average_over_sides(log_probabilities: Mapping[int, Floats], sides: Sequence[int]) -> Floats:
    return np.asarray(np.mean([log_probabilities[side] for side in sides], axis=0), np.float32)


def _calibrate(model: keras.Model, log_probabilities: Floats, labels: NDArray[np.int64]) -> None:
    """Calibrate a network: divide its logits by the temperature with the lowest cross-entropy.

    Label smoothing and mixup make it less confident than it is accurate (Guo et al., arXiv 1706.04599). The order of
    the classes does not change.
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
    """Return a model as a `.keras` file with float16 weights: half the size, and more precise than bfloat16."""

    def clone_as_float16(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        return clone_layer(layer, layer.name, "float16")(*arguments, **keywords)

    picture = keras.Input((None, None, 3), name="picture")
    output = model._run_through_graph(picture, operation_fn=lambda layer: layer, call_fn=clone_as_float16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        keras.Model(picture, output, name=model.name).save(path)
        return path.read_bytes()
