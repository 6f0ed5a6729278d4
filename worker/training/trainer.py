"""Train a network: from a data set and a configuration to a classifier of its artists."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from shared.errors import ArtDreamError
from worker.backend import distribution_scope
from worker.training.adversary import Adversary, evaluate_attacked
from worker.training.backbones import add_head, build_backbone, copy_weights
from worker.training.checkpoints import Checkpoints, EpochResult, History
from worker.training.config import TrainingConfig
from worker.training.dataset import Dataset, Painting
from worker.training.head import train_head
from worker.training.input_pipeline import TrainingBatches, ValidationBatches, load_ahead
from worker.training.optimizer import build_optimizer

#: Steps of the attack by which epochs of adversarial training are compared.
VALIDATION_ATTACK_STEPS = 3


class InitialNetwork(NamedTuple):
    """A trained network to start from."""

    model: keras.Model
    classes: tuple[str, ...]


class TrainingStep(NamedTuple):
    """The progress of a training."""

    #: "head", or "epoch 3 of 20".
    phase: str
    #: Completed share of the phase, 0 to 1.
    fraction: float
    #: Metrics of the epoch; None until it has ended.
    epoch_result: EpochResult | None = None


class TrainingResult(NamedTuple):
    """A trained model, and the history of its training."""

    model: keras.Model
    history: History
    #: Whether the backbone started with ImageNet weights.
    is_pretrained: bool


def train(
    dataset: Dataset,
    config: TrainingConfig,
    folder: Path,
    weights_folder: Path,
    on_progress: Callable[[TrainingStep], None] = lambda _: None,
    initial_network: InitialNetwork | None = None,
) -> TrainingResult:
    """Train a network on the part `train` of a data set, and return the epoch that scores best on the part `val`.

    folder: the state is saved there after each epoch; a call with the same arguments resumes from it. weights_folder:
    folder of downloaded weights. on_progress: called with every step. initial_network: the network that the
    configuration names, if it names one. Raises ArtDreamError if a part is empty, a picture is damaged, the folder
    holds another training, or the loss is no longer finite.
    """
    training_paintings, validation_paintings = dataset.get_part("train"), dataset.get_part("val")
    if not training_paintings or not validation_paintings:
        raise ArtDreamError(
            f"The data set has {len(training_paintings)} pictures to learn from and "
            f"{len(validation_paintings)} to check with: neither may be none. `artdream dataset organize` makes both."
        )
    checkpoints, artist_count = Checkpoints(folder, config, dataset.digest), len(dataset.artists)
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if config.precision == "bfloat16" else "float32")
    try:
        with distribution_scope():
            backbone = build_backbone(config.backbone, weights_folder)
            model = add_head(backbone.model, artist_count, config.dropout)
            steps_per_epoch = len(TrainingBatches(training_paintings, artist_count, config, 0))
            model.compile(
                build_optimizer(model, config, steps_per_epoch),
                keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.smoothing),
                metrics=["accuracy"],
                jit_compile=keras.backend.backend() == "jax",
            )
            model.optimizer.build(model.trainable_variables)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    if checkpoints.has_trained_head:
        checkpoints.restore(model)
    else:
        if initial_network:
            copy_weights(*initial_network, model, dataset.artists)
        else:
            train_head(
                model, training_paintings, artist_count, config, lambda share: on_progress(TrainingStep("head", share))
            )
        checkpoints.save_best(model)
        checkpoints.save(model)
    adversary = Adversary(model) if config.epsilon else None
    while not checkpoints.history.is_finished:
        _run_epoch(
            model, adversary, training_paintings, validation_paintings, artist_count, config, checkpoints, on_progress
        )
    checkpoints.load_best(model)
    return TrainingResult(model, checkpoints.history, backbone.is_pretrained)


def _run_epoch(
    model: keras.Model,
    adversary: Adversary | None,
    training_paintings: Sequence[Painting],
    validation_paintings: Sequence[Painting],
    artist_count: int,
    config: TrainingConfig,
    checkpoints: Checkpoints,
    on_progress: Callable[[TrainingStep], None],
) -> None:
    """Train for one epoch, and save its result, and its weights if it is the best so far.

    adversary: attacks the pictures before the model learns from them; None: they are left as they are.
    """
    number, started = len(checkpoints.history.epochs), time.perf_counter()
    phase = f"epoch {number + 1} of {config.epochs}"
    batches = TrainingBatches(training_paintings, artist_count, config, number)
    validation_batches = ValidationBatches(validation_paintings, artist_count, config)
    # Seeded for each epoch, so that a resumed training applies the same dropout as an uninterrupted one.
    keras.utils.set_random_seed(config.seed + number)

    def report_step(index: int) -> None:
        on_progress(TrainingStep(phase, (index + 1) / len(batches)))

    if adversary:
        scores = _fit_attacked(model, adversary, batches, validation_batches, number, config, report_step)
    else:
        scores = _fit(model, batches, validation_batches, number, checkpoints, report_step)
    epoch = EpochResult(epoch=number, seconds=time.perf_counter() - started, **scores)
    if not math.isfinite(epoch.loss):
        raise ArtDreamError(f"The training ran away in {phase}: its numbers are no longer finite. Lower --rate.")
    if checkpoints.is_improvement(epoch):
        with _use_averaged_weights(model):
            checkpoints.save_best(model)
    checkpoints.record_epoch(model, epoch)
    on_progress(TrainingStep(phase, 1.0, epoch))


def _fit(
    model: keras.Model,
    batches: TrainingBatches,
    validation_batches: ValidationBatches,
    number: int,
    checkpoints: Checkpoints,
    report_step: Callable[[int], None],
) -> dict[str, float]:
    """Train for one epoch, and return its scores by field of EpochResult."""
    progress_callback = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: report_step(batch))  # noqa: ARG005
    callbacks = [progress_callback, keras.callbacks.SwapEMAWeights()]
    if keras.backend.backend() == "tensorflow":  # the log format is TensorFlow's own
        callbacks.append(keras.callbacks.TensorBoard(str(checkpoints.tensorboard_folder), write_graph=False))
    history = model.fit(
        batches,
        validation_data=validation_batches,
        initial_epoch=number,
        epochs=number + 1,
        shuffle=False,
        verbose=0,
        callbacks=callbacks,
    ).history
    return {
        "loss": history["loss"][-1],
        "accuracy": history["val_accuracy"][-1],
        "validation_loss": history["val_loss"][-1],
    }


def _fit_attacked(
    model: keras.Model,
    adversary: Adversary,
    batches: TrainingBatches,
    validation_batches: ValidationBatches,
    number: int,
    config: TrainingConfig,
    report_step: Callable[[int], None],
) -> dict[str, float]:
    """Train for one epoch on pictures that an attack changed, and return its scores by field of EpochResult."""
    rng, loss = np.random.default_rng((config.seed, number)), math.nan
    for index, (pictures, shares, weights) in enumerate(load_ahead(batches.__getitem__, range(len(batches)))):
        # Over the first epoch the attack grows: a network that does not withstand it at all learns nothing from it.
        strength = min(1.0, (index + 1) / len(batches) + number)
        attacked = adversary.attack(pictures, shares, strength * config.epsilon, config.attack_steps, rng)
        # Keras reports the mean loss since the epoch began.
        loss = float(model.train_on_batch(attacked, shares, weights, return_dict=True)["loss"])
        report_step(index)
    with _use_averaged_weights(model):
        validation = evaluate_attacked(model, adversary, validation_batches, config, VALIDATION_ATTACK_STEPS)
    return {
        "loss": loss,
        "accuracy": validation.accuracy,
        "robust_accuracy": validation.attacked_accuracy,
        "validation_loss": validation.attacked_loss,
    }


@contextmanager
def _use_averaged_weights(model: keras.Model) -> Iterator[None]:
    """Give a model the average of its weights over the last steps inside this context, as in validation."""
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    try:
        yield
    finally:
        swap.on_test_end()
