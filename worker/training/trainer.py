"""The one door of training: from a data set and a plan to a network that tells its artists apart."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import keras

from shared.errors import ArtDreamError
from worker.backend import on_all_devices
from worker.training.backbones import body_of, with_head
from worker.training.checkpoints import Diary, Epoch, Progress
from worker.training.config import Plan
from worker.training.dataset import Dataset, Painting
from worker.training.head import train_head
from worker.training.input_pipeline import Checks, Lessons
from worker.training.optimizer import optimiser


class Step(NamedTuple):
    """Where a training is."""

    #: "head", or "epoch 3 of 20".
    phase: str
    #: The share of the phase that is done.
    fraction: float
    #: What an epoch came to, once it has ended.
    ended: Epoch | None = None


class Trained(NamedTuple):
    """What a training came to."""

    model: keras.Model
    diary: Diary
    #: Whether the backbone knew ImageNet before.
    knows: bool


def train(
    dataset: Dataset, plan: Plan, folder: Path, weights: Path, watch: Callable[[Step], None] = lambda _: None
) -> Trained:
    """Train a network on the part `train` of a data set, and take the epoch that does best on the part `val`.

    folder: where the state is kept after each epoch; called again with the same arguments, training goes on from
    there. weights: the folder of published weights. Raises ArtDreamError where a part is empty, a picture is damaged,
    or something else was trained in that folder.
    """
    learn, check = dataset.part("train"), dataset.part("val")
    if not learn or not check:
        raise ArtDreamError(
            f"The data set has {len(learn)} pictures to learn from and {len(check)} to check with: "
            "neither may be none. `artdream dataset organise` makes both."
        )
    progress, artists = Progress(folder, plan, dataset.digest), len(dataset.artists)
    keras.utils.set_random_seed(plan.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if plan.precision == "bfloat16" else "float32")
    try:
        with on_all_devices():
            body = body_of(plan.backbone, weights)
            model = with_head(body.model, artists, plan.dropout)
            steps = len(Lessons(learn, artists, plan, 0))
            model.compile(
                optimiser(model, plan, steps),
                keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=plan.smoothing),
                metrics=["accuracy"],
                jit_compile=keras.backend.backend() == "jax",
            )
            model.optimizer.build(model.trainable_variables)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    if progress.head_learned:
        progress.resume(model)
    else:
        train_head(model, learn, artists, plan, lambda share: watch(Step("head", share)))
        progress.keep_best(model)
        progress.keep(model)
    while not progress.diary.finished:
        _epoch(model, learn, check, artists, plan, progress, watch)
    progress.load_best(model)
    return Trained(model, progress.diary, body.knows)


def _epoch(
    model: keras.Model,
    learn: Sequence[Painting],
    check: Sequence[Painting],
    artists: int,
    plan: Plan,
    progress: Progress,
    watch: Callable[[Step], None],
) -> None:
    """Go once through the pictures, and keep what came of it."""
    number, started = len(progress.diary.epochs), time.perf_counter()
    phase = f"epoch {number + 1} of {plan.epochs}"
    lessons = Lessons(learn, artists, plan, number)
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: watch(Step(phase, (batch + 1) / len(lessons)))  # noqa: ARG005
    )
    # Drawn anew for each epoch, so that one that is resumed drops out what it would have dropped.
    keras.utils.set_random_seed(plan.seed + number)
    callbacks = [told, keras.callbacks.SwapEMAWeights()]
    if keras.backend.backend() == "tensorflow":  # whose own log it is
        callbacks.append(keras.callbacks.TensorBoard(str(progress.log), write_graph=False))
    history = model.fit(
        lessons,
        validation_data=Checks(check, artists, plan),
        initial_epoch=number,
        epochs=number + 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    ).history
    epoch = Epoch(
        epoch=number,
        loss=history["loss"][-1],
        accuracy=history["val_accuracy"][-1],
        validation_loss=history["val_loss"][-1],
        seconds=time.perf_counter() - started,
    )
    if not math.isfinite(epoch.loss):
        raise ArtDreamError(f"The training ran away in {phase}: its numbers are no longer finite. Lower --rate.")
    if progress.improves(epoch):
        with _averaged(model):
            progress.keep_best(model)
    progress.add(model, epoch)
    watch(Step(phase, 1.0, epoch))


@contextmanager
def _averaged(model: keras.Model) -> Iterator[None]:
    """Let a model have the mean of its weights over the last steps, which is what validation looked at."""
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()
