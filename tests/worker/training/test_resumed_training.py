"""A training that was interrupted resumes, and ends as if it had not been."""

import shutil
from pathlib import Path

import pytest

from tests.worker.training.paintings import build_dataset
from worker.training.config import TrainingConfig
from worker.training.trainer import TrainingStep, train

pytestmark = pytest.mark.slow


def test_an_interrupted_robust_training_goes_on_to_the_same_result(tmp_path: Path) -> None:
    dataset = build_dataset(tmp_path, 6)
    config = TrainingConfig.for_backbone("lite", is_robust=True, epochs=2, side=64, batch=8, head_rounds=1)

    def keep_state(step: TrainingStep) -> None:
        if step.phase == "epoch 2 of 2" and not (tmp_path / "two").exists():
            shutil.copytree(tmp_path / "one", tmp_path / "two")  # what an interruption at this moment would leave

    uninterrupted = train(dataset, config, tmp_path / "one", tmp_path, keep_state).history
    resumed_steps: list[str] = []
    resumed = train(dataset, config, tmp_path / "two", tmp_path, lambda step: resumed_steps.append(step.phase)).history
    assert set(resumed_steps) == {"epoch 2 of 2"}
    for one, two in zip(uninterrupted.epochs, resumed.epochs, strict=True):
        assert two.loss == pytest.approx(one.loss, rel=0.02)
        assert (two.accuracy, two.robust_accuracy) == (one.accuracy, one.robust_accuracy)
