"""A network is trained to withstand an attack, from a trained one."""

import json
from pathlib import Path

import pytest

from tests.stack import run_in_process
from tests.worker.training.paintings import build_dataset, paint_folders

pytestmark = pytest.mark.slow

TRAIN_COMMAND = ("train", "--dataset", "data", "--side", "64", "--batch", "8")


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
