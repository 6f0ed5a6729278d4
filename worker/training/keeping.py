"""A trained network as files: its weights, and cards that tell what it is, to people and to programs."""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import keras

from worker.networks.card import Card, Lesson, Score
from worker.networks.flattening import copied
from worker.networks.kerasfile import load_keras
from worker.networks.network import Network
from worker.precision import chosen_precision
from worker.training.dataset import PARTS, Dataset
from worker.training.evaluation import Evaluation, evaluate
from worker.training.modelcard import written
from worker.training.trainer import Trained

#: A network may know pictures best at a larger side than it learned at, since it learned from pieces of them
#: (Touvron et al., “Fixing the train-test resolution discrepancy”, arXiv 1906.06423): these shares of it are tried.
SIDES = (1.0, 8 / 7)


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


def keep(name: str, trained: Trained, dataset: Dataset, *, command: str, licence: str) -> Kept:
    """Make the files of a trained network, and evaluate it as it will be loaded.

    name: `artist/<name>`. The side at which it looks at pictures is the one that does best on the part `val`.
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
    sides = [round(diary.plan.side * share) for share in SIDES]
    tried = {side: _loaded(name, content, card, side) for side in sides}
    on_val = {side: evaluate(net, dataset.part("val"), dataset.artists).top1 for side, net in tried.items()}
    side = max(sides, key=lambda one: on_val[one])
    evaluation = evaluate(tried[side], dataset.part("test"), dataset.artists)
    score = Score(**{field: getattr(evaluation, field) for field in Score.model_fields})
    return Kept(content, card.model_copy(update={"side": side, "score": score}), evaluation)


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


def _loaded(name: str, content: bytes, card: Card, side: int) -> Network:
    return load_keras(name, content, card.model_copy(update={"side": side}), chosen_precision("auto"))
