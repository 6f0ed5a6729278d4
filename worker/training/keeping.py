"""A trained network as files: its weights, and cards that tell what it is, to people and to programs."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from worker.networks.card import Card, Lesson, Score
from worker.networks.flattening import copied
from worker.networks.kerasfile import load_keras
from worker.precision import chosen_precision
from worker.training.dataset import PARTS, Dataset
from worker.training.evaluation import Evaluation, evaluate
from worker.training.modelcard import written
from worker.training.representation import seen_in
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
    content = network_file(trained.model)
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
    best_sides = _best_sides(name, content, card, diary.plan.side, dataset)
    card = card.model_copy(update={"side": best_sides[0], "further_sides": best_sides[1:]})
    network = load_keras(name, content, card, chosen_precision("auto"))
    evaluation = evaluate(network, dataset.part("test"), dataset.artists)
    score = Score(**{field: getattr(evaluation, field) for field in Score.model_fields})
    return Kept(content, card.model_copy(update={"score": score}), evaluation)


def _best_sides(name: str, content: bytes, card: Card, learned_at: int, dataset: Dataset) -> tuple[int, ...]:
    """Return the side, or the two, at which most pictures of the part `val` are named rightly."""
    network = load_keras(name, content, card, chosen_precision("auto"))
    paintings = dataset.part("val")
    told = np.array([one.artist for one in paintings])
    answers = {}
    for side in dict.fromkeys(round(learned_at * share) for share in SIDES):
        answers[side] = np.log(seen_in(replace(network, sides=(side,)), paintings).probabilities + TINY)
    tried = [*((side,) for side in answers), *itertools.combinations(answers, 2)]
    return max(tried, key=lambda sides: float(np.mean(sum(answers[side] for side in sides).argmax(axis=1) == told)))


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
