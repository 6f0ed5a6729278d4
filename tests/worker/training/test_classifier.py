"""A network is trained on new painters, from folders to dreams, and resumes after it was killed."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures import encode_jpeg, make_picture
from tests.stack import run_artdream, run_in_process
from tests.waiting import wait_until
from tests.worker.training.paintings import ARTIST_STYLES, paint_folders

pytestmark = pytest.mark.slow

TRAIN_COMMAND = ("train", "--dataset", "data", "--out", "artist/mine", "--epochs", "3", "--side", "64", "--batch", "8")


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained network, whose training was killed after the first epoch and resumed."""
    home = tmp_path_factory.mktemp("maker")
    paint_folders(home / "paintings", 20)
    build = run_in_process("dataset", "organize", "paintings", "data", "--side", "96", folder=home)
    assert build.returncode == 0, build.stderr
    assert "80 paintings by 4 artists" in build.stdout
    history_file = home / "artdream-data" / "training" / "artist-mine" / "diary.json"
    process = subprocess.Popen([sys.executable, "-m", "artdream", *TRAIN_COMMAND], cwd=home, stdout=subprocess.DEVNULL)
    wait_until(lambda: history_file.exists() or process.poll() is not None, "the first epoch ends")
    process.kill()
    process.wait()
    first_epochs = json.loads(history_file.read_text())["epochs"]
    training = run_artdream(*TRAIN_COMMAND, folder=home)
    assert training.returncode == 0, training.stderr
    epochs = json.loads(history_file.read_text())["epochs"]
    assert len(first_epochs) < 3
    assert epochs[: len(first_epochs)] == first_epochs
    assert [epoch["epoch"] for epoch in epochs] == [0, 1, 2]
    assert f"epoch {len(first_epochs)} of 3" not in training.stdout
    assert "artist/mine: " in training.stdout
    return home


def test_it_has_learned_and_its_metadata_says_how(trained_home: Path) -> None:
    folder = trained_home / "artdream-data" / "store" / "networks" / "mine"
    metadata = json.loads((folder / "network.json").read_text())
    assert metadata["classes"] == sorted(ARTIST_STYLES)
    assert metadata["score"]["pictures"] == 8
    assert metadata["score"]["top1"] >= 0.75  # by chance 0.25
    assert metadata["lesson"]["pictures"] == {"train": 64, "val": 8, "test": 8}
    assert metadata["lesson"]["from_imagenet"] is True
    assert metadata["lesson"]["data"] == json.loads(history_path(trained_home).read_text())["data"]
    assert metadata["lesson"]["command"].startswith("artdream train --dataset data")
    readme = (folder / "README.md").read_text()
    assert f"| {metadata['score']['top1']:.1%} |" in readme
    assert (folder / "network.keras").stat().st_size < 12e6
    network_list = run_in_process("networks", folder=trained_home).stdout
    assert "artist/mine" in network_list


def test_it_is_evaluated_on_a_data_set_and_on_plain_folders(trained_home: Path) -> None:
    evaluation = run_in_process("evaluate", "artist/mine", "--dataset", "data", "--out", "figures", folder=trained_home)
    assert evaluation.returncode == 0, evaluation.stderr
    assert "Cleo Grün" in evaluation.stdout
    assert "artist/mine, 8 pictures: top-1" in evaluation.stdout
    page = (trained_home / "figures" / "confusion.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    with Image.open(trained_home / "figures" / "confusion.png") as picture:
        assert picture.width > 1000
    folders = json.loads(
        run_in_process("evaluate", "artist/mine", "--dataset", "paintings", "--json", folder=trained_home).stdout
    )
    assert folders["pictures"] == 80
    assert folders["top1"] >= 0.75
    assert sum(map(sum, folders["matrix"])) == 80
    unknown_artist_folder = trained_home / "strangers" / "Edvard_Munch"
    unknown_artist_folder.mkdir(parents=True)
    Image.new("RGB", (80, 80)).save(unknown_artist_folder / "1.png")
    refused = run_in_process("evaluate", "artist/mine", "--dataset", "strangers", folder=trained_home)
    assert refused.returncode == 1
    assert refused.stderr.startswith("artdream: The network artist/mine does not know “Edvard Munch”")
    assert refused.stderr.count("\n") == 1


def test_its_map_is_drawn_once_and_the_same_again(trained_home: Path) -> None:
    folder = trained_home / "artdream-data" / "store" / "networks" / "mine"
    embedding = run_in_process("embed", "artist/mine", "--dataset", "data", folder=trained_home)
    assert embedding.returncode == 0, embedding.stderr
    assert "80 paintings. Of 8 that were not trained on" in embedding.stdout
    art_map = json.loads((folder / "map.json").read_text())
    assert art_map["network"] == "artist/mine"
    assert len(art_map["x"]) == len(art_map["artist"]) == 80
    repeated = run_artdream("embed", "artist/mine", "--dataset", "data", folder=trained_home)
    assert repeated.returncode == 0, repeated.stderr
    assert json.loads((folder / "map.json").read_text()) == art_map
    points = np.array([art_map["x"], art_map["y"]]).T
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    artists = np.array(art_map["artist"])
    assert np.mean(artists[distances.argmin(axis=1)] == artists) > 0.75


def test_it_dreams_as_its_painters(trained_home: Path) -> None:
    (trained_home / "photo.jpg").write_bytes(encode_jpeg(make_picture(3)))
    recipe = trained_home / "more.toml"
    recipe.write_text(
        'name = "more-anna"\nversion = 1\ntitle = "More Anna"\ndescription = "."\nnetwork = "artist/mine"\n'
        'canvas = 256\n[objective]\nkind = "classes"\nclasses = ["anna rot"]\n[ascent]\nsteps = 60\n'
    )
    process = run_in_process("dream", "photo.jpg", "out.jpg", "--recipe", "more.toml", folder=trained_home)
    assert process.returncode == 0, process.stderr
    before, after = (float(part.strip(" %\n")) for part in process.stdout.rpartition("Anna Rot:")[2].split("→"))
    assert after > before


def history_path(home: Path) -> Path:
    return home / "artdream-data" / "training" / "artist-mine" / "diary.json"
