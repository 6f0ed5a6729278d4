"""A network is trained to withstand an attack, from a trained one, and resumes after it was interrupted."""

import json
import shutil
from pathlib import Path

import pytest

from tests.stack import run_in_process
from tests.worker.training.paintings import paint_folders
from worker.training.config import TrainingConfig
from worker.training.dataset import Dataset
from worker.training.trainer import TrainingStep, train

pytestmark = pytest.mark.slow

TRAIN_COMMAND = ("train", "--dataset", "data", "--side", "64", "--batch", "8")


def build_dataset(folder: Path, count: int) -> Dataset:
    """Build the data set `folder`/data from `count` generated paintings of each artist."""
    paint_folders(folder / "paintings", count)
    build = run_in_process("dataset", "organize", "paintings", "data", "--side", "96", folder=folder)
    assert build.returncode == 0, build.stderr
    return Dataset.open(folder / "data")


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set and with a network whose head was trained on it."""
    home = tmp_path_factory.mktemp("maker")
    build_dataset(home, 20)
    training = run_in_process(*TRAIN_COMMAND, "--out", "artist/mine", "--epochs", "0", folder=home)
    assert training.returncode == 0, training.stderr
    return home


def test_a_robust_network_starts_from_a_trained_one_and_its_card_tells_the_attack(trained_home: Path) -> None:
    options = ("--robust", "--from", "artist/mine", "--epsilon", "0.5", "--out", "artist/robust", "--epochs", "2")
    training = run_in_process(*TRAIN_COMMAND, *options, folder=trained_home)
    assert training.returncode == 0, training.stderr
    assert "epoch 2 of 2" in training.stdout
    assert "under attack" in training.stdout
    folder = trained_home / "artdream-data" / "store" / "networks" / "robust"
    metadata = json.loads((folder / "network.json").read_text())
    assert metadata["lesson"]["plan"]["initial_network"] == "artist/mine"
    robustness = metadata["robustness"]
    assert (robustness["epsilon"], robustness["side"], robustness["steps"]) == (0.5, 64, 20)
    assert 0.25 < robustness["attacked_top1"] <= robustness["top1"]
    card = (folder / "README.md").read_text()
    assert "the weights of `artist/mine`" in card
    assert "## Under attack" in card


def test_styles_are_measured_and_judged_by_another_network(trained_home: Path) -> None:
    measured = run_in_process("styles", "artist/mine", "--dataset", "data", folder=trained_home)
    assert "artist/mine: 12 of 80 paintings by 4 artists" in measured.stdout, measured.stderr
    networks_folder = trained_home / "artdream-data" / "store" / "networks"
    assert (networks_folder / "mine" / "styles.npz").stat().st_size < 200_000
    paint_folders(trained_home / "few", 1)
    judged = run_in_process("styles", "artist/mine", "--dataset", "few", "--judge", "artist/mine", folder=trained_home)
    assert "artist/mine: 4 of 4 paintings by 4 artists" in judged.stdout, judged.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--robust", "--from", "artist/none"), "There is no network “artist/none”"),
        (("--robust", "--from", "lite"), "The network lite is not stored as a .keras file"),
    ],
)
def test_a_robust_training_that_cannot_start_says_why(
    options: tuple[str, ...], message: str, trained_home: Path
) -> None:
    refused = run_in_process(*TRAIN_COMMAND, "--out", "artist/other", *options, folder=trained_home)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


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
