"""The one door of training: from a data set and a plan to a network that tells its artists apart."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import keras

from shared.errors import ArtDreamError
from worker.backend import distribution_scope
from worker.training.backbones import add_head, build_backbone
from worker.training.checkpoints import Checkpoints, EpochResult, History
from worker.training.config import TrainingConfig
from worker.training.dataset import Dataset, Painting
from worker.training.head import train_head
from worker.training.input_pipeline import TrainingBatches, ValidationBatches
from worker.training.optimizer import build_optimizer


class TrainingStep(NamedTuple):
    """Where a training is."""

    #: "head", or "epoch 3 of 20".
    phase: str
    #: The share of the phase that is done.
    fraction: float
    #: What an epoch came to, once it has ended.
    epoch_result: EpochResult | None = None


class TrainingResult(NamedTuple):
    """What a training came to."""

    model: keras.Model
    history: History
    #: Whether the backbone knew ImageNet before.
    is_pretrained: bool


def train(
    dataset: Dataset,
    config: TrainingConfig,
    folder: Path,
    weights_folder: Path,
    on_progress: Callable[[TrainingStep], None] = lambda _: None,
) -> TrainingResult:
    """Train a network on the part `train` of a data set, and take the epoch that does best on the part `val`.

    folder: where the state is kept after each epoch; called again with the same arguments, training goes on from
    there. weights: the folder of published weights. Raises ArtDreamError where a part is empty, a picture is damaged,
    or something else was trained in that folder.
    """
    learn, check = dataset.get_part("train"), dataset.get_part("val")
    if not learn or not check:
        raise ArtDreamError(
            f"The data set has {len(learn)} pictures to learn from and {len(check)} to check with: "
            "neither may be none. `artdream dataset organise` makes both."
        )
    progress, artists = Checkpoints(folder, config, dataset.digest), len(dataset.artists)
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.precision == "bfloat16" else "float32")
    try:
        with distribution_scope():
            body = build_backbone(config.backbone, weights_folder)
            model = add_head(body.model, artists, config.dropout)
            steps = len(TrainingBatches(learn, artists, config, 0))
            model.compile(
                build_optimizer(model, config, steps),
                keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.smoothing),
                metrics=["accuracy"],
                jit_compile=keras.backend.backend() == "jax",
            )
            model.optimizer.build(model.trainable_variables)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    if progress.has_trained_head:
        progress.restore(model)
    else:
        train_head(model, learn, artists, config, lambda share: on_progress(TrainingStep("head", share)))
        progress.save_best(model)
        progress.save(model)
    while not progress.history.is_finished:
        _run_epoch(model, learn, check, artists, config, progress, on_progress)
    progress.load_best(model)
    return TrainingResult(model, progress.history, body.is_pretrained)


def _run_epoch(
    model: keras.Model,
    training_paintings: Sequence[Painting],
    validation_paintings: Sequence[Painting],
    artist_count: int,
    config: TrainingConfig,
    checkpoints: Checkpoints,
    on_progress: Callable[[TrainingStep], None],
) -> None:
    """Go once through the pictures, and keep what came of it."""
    number, started = len(checkpoints.history.epochs), time.perf_counter()
    phase = f"epoch {number + 1} of {config.epochs}"
    lessons = TrainingBatches(training_paintings, artist_count, config, number)
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: on_progress(TrainingStep(phase, (batch + 1) / len(lessons)))  # noqa: ARG005
    )
    # Drawn anew for each epoch, so that one that is resumed drops out what it would have dropped.
    keras.utils.set_random_seed(config.seed + number)
    callbacks = [told, keras.callbacks.SwapEMAWeights()]
    if keras.backend.backend() == "tensorflow":  # whose own log it is
        callbacks.append(keras.callbacks.TensorBoard(str(checkpoints.tensorboard_folder), write_graph=False))
    history = model.fit(
        lessons,
        validation_data=ValidationBatches(validation_paintings, artist_count, config),
        initial_epoch=number,
        epochs=number + 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    ).history
    epoch = EpochResult(
        epoch=number,
        loss=history["loss"][-1],
        accuracy=history["val_accuracy"][-1],
        validation_loss=history["val_loss"][-1],
        seconds=time.perf_counter() - started,
    )
    if not math.isfinite(epoch.loss):
        raise ArtDreamError(f"The training ran away in {phase}: its numbers are no longer finite. Lower --rate.")
    if checkpoints.is_improvement(epoch):
        with _use_averaged_weights(model):
            checkpoints.save_best(model)
    checkpoints.record_epoch(model, epoch)
    on_progress(TrainingStep(phase, 1.0, epoch))


@contextmanager
def _use_averaged_weights(model: keras.Model) -> Iterator[None]:
    """Let a model have the mean of its weights over the last steps, which is what validation looked at."""
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()
