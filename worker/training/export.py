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

from worker.backend.precision import chosen_precision
from worker.networks.loaders.keras_file import load_keras
from worker.networks.metadata import Card, Lesson, Score
from worker.networks.network import Network, softmax
from worker.networks.transform.flatten import copied
from worker.training.backbones import HEAD
from worker.training.dataset import PARTS, Dataset, Painting
from worker.training.evaluation import Evaluation, evaluate
from worker.training.feature_extraction import seen_in
from worker.training.input_pipeline import Floats
from worker.training.model_card import written
from worker.training.trainer import Trained

#: A network may know pictures best at a larger side than it learned at, since it learned from pieces of them (Touvron
#: et al., “Fixing the train-test resolution discrepancy”, arXiv 1906.06423), and better at two than at one: these
#: shares of it are tried, singly and in pairs.
SIDES = (1.0, 8 / 7, 9 / 7, 10 / 7)


class Kept(NamedTuple):
    """A trained network."""

    content: bytes
    card: Card
    evaluation: Evaluation

    @property
    def files(self) -> dict[str, bytes]:
        """The files that belong together, by name."""
        return {
            "network.keras": self.content,
            "network.json": self.card.model_dump_json(indent=1).encode(),
            "README.md": written(self.card, self.evaluation).encode(),
        }


#: Keeps a logarithm finite.
TINY = 1e-9


def keep(name: str, trained: Trained, dataset: Dataset, *, command: str, licence: str) -> Kept:
    """Make the files of a trained network, and evaluate it as it will be loaded.

    name: `artist/<name>`. The sides at which it looks at pictures are those that do best on the part `val`.
    """
    diary = trained.diary
    best = diary.best
    lesson = Lesson(
        backbone=diary.plan.backbone,
        from_imagenet=trained.knows,
        data=diary.data,
        pictures={part: len(dataset.part(part)) for part in PARTS},
        plan=diary.plan.model_dump(),
        epochs=len(diary.epochs),
        best=best.epoch + 1 if best else 0,
        command=command,
    )
    card = Card(classes=dataset.artists, licence=licence, source=f"trained from {diary.plan.backbone}", lesson=lesson)
    network = load_keras(name, network_file(trained.model), card, chosen_precision("auto"))
    answers, told = _answers(network, diary.plan.side, dataset.part("val"))
    sides = _best_sides(answers, told)
    _calibrate(trained.model, _mean(answers, sides), told)
    content = network_file(trained.model)
    card = card.model_copy(update={"side": sides[0], "further_sides": sides[1:]})
    network = load_keras(name, content, card, chosen_precision("auto"))
    evaluation = evaluate(network, dataset.part("test"), dataset.artists)
    score = Score(**{field: getattr(evaluation, field) for field in Score.model_fields})
    return Kept(content, card.model_copy(update={"score": score}), evaluation)


def _answers(
    network: Network, learned_at: int, paintings: Sequence[Painting]
) -> tuple[dict[int, Floats], NDArray[np.int64]]:
    """Return logarithms of what a network answers at each side that is tried, (pictures, classes), and the truth."""
    answers: dict[int, Floats] = {}
    for side in dict.fromkeys(round(learned_at * share) for share in SIDES):
        answers[side] = np.log(seen_in(replace(network, sides=(side,)), paintings).probabilities + TINY)
    return answers, np.array([one.artist for one in paintings])


def _best_sides(answers: Mapping[int, Floats], told: NDArray[np.int64]) -> tuple[int, ...]:
    """Return the side, or the two, at which most pictures are named rightly."""
    tried = [*((side,) for side in answers), *itertools.combinations(answers, 2)]
    return max(tried, key=lambda sides: float(np.mean(_mean(answers, sides).argmax(axis=1) == told)))


def _mean(answers: Mapping[int, Floats], sides: Sequence[int]) -> Floats:
    return np.asarray(np.mean([answers[side] for side in sides], axis=0), np.float32)


def _calibrate(model: keras.Model, answers: Floats, told: NDArray[np.int64]) -> None:
    """Let a network be as sure as it is right: divide its logits by the temperature that suits pictures best.

    Smoothed and mixed lessons leave it less sure than it may be (Guo et al., arXiv 1706.04599). Nobody's place changes.
    """
    from scipy.optimize import minimize_scalar

    def surprise(logarithm: float) -> float:
        return -float(np.mean(np.log(softmax(answers / np.exp(logarithm))[np.arange(len(told)), told] + TINY)))

    temperature = np.exp(minimize_scalar(surprise, bounds=(-2, 2), method="bounded").x)
    head = model.get_layer(HEAD)
    head.set_weights([weights / temperature for weights in head.get_weights()])


def network_file(model: keras.Model) -> bytes:
    """Return the `.keras` file of a model with weights in float16: half as large, and more than bfloat16 ever reads."""

    def called(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        return copied(layer, layer.name, "float16")(*arguments, **keywords)

    picture = keras.Input((None, None, 3), name="picture")
    out = model._run_through_graph(picture, operation_fn=lambda layer: layer, call_fn=called)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        keras.Model(picture, out, name=model.name).save(path)
        return path.read_bytes()
