"""Checkpoints: the state of a training is saved after each epoch, and only a matching one is resumed."""

from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ArtDreamError
from worker.training.checkpoints import Checkpoints, EpochResult
from worker.training.config import TrainingConfig

CONFIG = TrainingConfig.for_backbone("lite", epochs=9, patience=2)


def make_epoch(number: int, accuracy: float, robust_accuracy: float | None = None) -> EpochResult:
    return EpochResult(
        epoch=number, loss=1, accuracy=accuracy, validation_loss=1, seconds=1, robust_accuracy=robust_accuracy
    )


def make_model() -> keras.Model:
    picture = keras.Input((2,))
    model = keras.Model(picture, keras.layers.Dense(1)(picture))
    model.compile("sgd", "mse")
    return model


def test_it_ends_when_it_gets_no_better_and_goes_on_with_more_patience(tmp_path: Path) -> None:
    checkpoints, model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    checkpoints.save(model)
    for number, accuracy in enumerate((0.5, 0.7, 0.6)):
        assert not checkpoints.history.is_finished
        checkpoints.record_epoch(model, make_epoch(number, accuracy))
    assert not checkpoints.history.is_finished
    checkpoints.record_epoch(model, make_epoch(3, 0.7))  # equal accuracy is no improvement
    assert checkpoints.history.is_finished
    assert checkpoints.history.best == make_epoch(1, 0.7)
    patient = Checkpoints(tmp_path, CONFIG.model_copy(update={"patience": 5}), "data")
    assert not patient.history.is_finished
    assert patient.history.epochs == checkpoints.history.epochs


def test_the_best_epoch_of_a_robust_training_is_good_both_under_attack_and_without(tmp_path: Path) -> None:
    checkpoints, model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    for number, scores in enumerate([(0.98, 0.01), (0.54, 0.37), (0.58, 0.36), (0.6, 0.33)]):
        checkpoints.record_epoch(model, make_epoch(number, *scores))
    assert checkpoints.history.best == make_epoch(2, 0.58, 0.36)


def test_a_killed_epoch_leaves_the_state_before_it(tmp_path: Path) -> None:
    checkpoints, model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    checkpoints.save(model)
    checkpoints.record_epoch(model, make_epoch(0, 0.5))
    saved_weights = model.get_weights()
    model.set_weights([weight + 1 for weight in saved_weights])
    # as if killed after the weights were written and before the history was
    model.save_weights(tmp_path / "after-002.weights.h5")
    (tmp_path / "part-after-002.weights.h5").write_bytes(b"half")
    reopened, other_model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    assert reopened.has_trained_head
    reopened.restore(other_model)
    assert all(
        np.array_equal(restored, saved)
        for restored, saved in zip(other_model.get_weights(), saved_weights, strict=True)
    )


@pytest.mark.parametrize(
    ("plan", "data"), [(TrainingConfig.for_backbone("lite", epochs=9, seed=1), "data"), (CONFIG, "other data")]
)
def test_what_was_trained_otherwise_is_not_gone_on_with(plan: TrainingConfig, data: str, tmp_path: Path) -> None:
    checkpoints, model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    checkpoints.save(model)
    checkpoints.record_epoch(model, make_epoch(0, 0.5))
    with pytest.raises(ArtDreamError, match=r"a training with another (plan|data) was begun"):
        Checkpoints(tmp_path, plan, data)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    checkpoints, model = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    checkpoints.save(model)
    (tmp_path / "after-000.weights.h5").write_bytes(b"no weights")
    with pytest.raises(ArtDreamError, match="to start over"):
        checkpoints.restore(model)
    (tmp_path / "diary.json").write_text("{")
    with pytest.raises(ArtDreamError, match="is not a training history"):
        Checkpoints(tmp_path, CONFIG, "data")
