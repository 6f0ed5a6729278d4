"""What a training has reached is kept after each epoch, and nothing else is taken for it."""

from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ArtDreamError
from worker.training.checkpoints import Checkpoints, EpochResult
from worker.training.config import TrainingConfig

CONFIG = TrainingConfig.for_backbone("lite", epochs=9, patience=2)


def make_epoch(number: int, accuracy: float) -> EpochResult:
    return EpochResult(epoch=number, loss=1, accuracy=accuracy, validation_loss=1, seconds=1)


def make_model() -> keras.Model:
    picture = keras.Input((2,))
    model = keras.Model(picture, keras.layers.Dense(1)(picture))
    model.compile("sgd", "mse")
    return model


def test_it_ends_when_it_gets_no_better_and_goes_on_with_more_patience(tmp_path: Path) -> None:
    progress, net = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    progress.save(net)
    for number, accuracy in enumerate((0.5, 0.7, 0.6)):
        assert not progress.history.is_finished
        progress.record_epoch(net, make_epoch(number, accuracy))
    assert not progress.history.is_finished
    progress.record_epoch(net, make_epoch(3, 0.7))  # as good is no better
    assert progress.history.is_finished
    assert progress.history.best == make_epoch(1, 0.7)
    patient = Checkpoints(tmp_path, CONFIG.model_copy(update={"patience": 5}), "data")
    assert not patient.history.is_finished
    assert patient.history.epochs == progress.history.epochs


def test_a_killed_epoch_leaves_the_state_before_it(tmp_path: Path) -> None:
    progress, net = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    progress.save(net)
    progress.record_epoch(net, make_epoch(0, 0.5))
    wanted = net.get_weights()
    net.set_weights([weight + 1 for weight in wanted])
    # killed after the state was written and before the diary was
    net.save_weights(tmp_path / "after-002.weights.h5")
    (tmp_path / "part-after-002.weights.h5").write_bytes(b"half")
    again, other = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    assert again.has_trained_head
    again.restore(other)
    assert all(np.array_equal(one, two) for one, two in zip(other.get_weights(), wanted, strict=True))


@pytest.mark.parametrize(
    ("plan", "data"), [(TrainingConfig.for_backbone("lite", epochs=9, seed=1), "data"), (CONFIG, "other data")]
)
def test_what_was_trained_otherwise_is_not_gone_on_with(plan: TrainingConfig, data: str, tmp_path: Path) -> None:
    progress, net = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    progress.save(net)
    progress.record_epoch(net, make_epoch(0, 0.5))
    with pytest.raises(ArtDreamError, match=r"a training with another (plan|data) was begun"):
        Checkpoints(tmp_path, plan, data)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    progress, net = Checkpoints(tmp_path, CONFIG, "data"), make_model()
    progress.save(net)
    (tmp_path / "after-000.weights.h5").write_bytes(b"no weights")
    with pytest.raises(ArtDreamError, match="to begin anew"):
        progress.restore(net)
    (tmp_path / "diary.json").write_text("{")
    with pytest.raises(ArtDreamError, match="is no diary of a training"):
        Checkpoints(tmp_path, CONFIG, "data")
