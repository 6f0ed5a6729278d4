"""A maker trains a network on their own painters, from folders to dreams, and loses nothing when it is killed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.pictures import encode_jpeg, make_picture
from tests.stack import run_artdream, run_in_process
from tests.worker.training.paintings import ARTIST_STYLES, paint_folders

TRAIN_COMMAND = ("train", "--data", "data", "--out", "artist/mine", "--epochs", "3", "--side", "64", "--batch", "8")


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained network; its training was killed after the first epoch, and went on."""
    home = tmp_path_factory.mktemp("maker")
    paint_folders(home / "paintings", 20)
    made = run_in_process("dataset", "organise", "paintings", "data", "--side", "96", folder=home)
    assert made.returncode == 0, made.stderr
    assert "80 paintings by 4 artists" in made.stdout
    diary = home / "artdream-data" / "training" / "artist-mine" / "diary.json"
    process = subprocess.Popen([sys.executable, "-m", "artdream", *TRAIN_COMMAND], cwd=home, stdout=subprocess.DEVNULL)
    while not diary.exists():
        assert process.poll() is None, "the training ended by itself"
        time.sleep(0.05)
    process.kill()
    process.wait()
    first = json.loads(diary.read_text())["epochs"]
    ended = run_artdream(*TRAIN_COMMAND, folder=home)
    assert ended.returncode == 0, ended.stderr
    epochs = json.loads(diary.read_text())["epochs"]
    assert len(first) < 3
    assert epochs[: len(first)] == first
    assert [one["epoch"] for one in epochs] == [0, 1, 2]
    assert f"epoch {len(first)} of 3" not in ended.stdout
    assert "artist/mine: " in ended.stdout
    return home


def test_it_has_learned_and_its_metadata_says_how(trained_home: Path) -> None:
    folder = trained_home / "artdream-data" / "store" / "networks" / "mine"
    card = json.loads((folder / "network.json").read_text())
    assert card["classes"] == sorted(ARTIST_STYLES)
    assert card["score"]["pictures"] == 8
    assert card["score"]["top1"] >= 0.75  # by chance 0.25
    assert card["lesson"]["pictures"] == {"train": 64, "val": 8, "test": 8}
    assert card["lesson"]["from_imagenet"] is True
    assert card["lesson"]["data"] == json.loads(history_path(trained_home).read_text())["data"]
    assert card["lesson"]["command"].startswith("artdream train --data data")
    told = (folder / "README.md").read_text()
    assert f"| {card['score']['top1']:.1%} |" in told
    assert (folder / "network.keras").stat().st_size < 12e6
    listed = run_in_process("networks", folder=trained_home).stdout
    assert "artist/mine" in listed


def test_it_is_evaluated_on_a_data_set_and_on_plain_folders(trained_home: Path) -> None:
    shown = run_in_process("evaluate", "artist/mine", "--data", "data", "--out", "figures", folder=trained_home)
    assert shown.returncode == 0, shown.stderr
    assert "Cleo Grün" in shown.stdout
    assert "artist/mine, 8 pictures: top-1" in shown.stdout
    page = (trained_home / "figures" / "confusion.html").read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    with Image.open(trained_home / "figures" / "confusion.png") as picture:
        assert picture.width > 1000
    folders = json.loads(
        run_in_process("evaluate", "artist/mine", "--data", "paintings", "--json", folder=trained_home).stdout
    )
    assert folders["pictures"] == 80
    assert folders["top1"] >= 0.75
    assert sum(map(sum, folders["matrix"])) == 80
    stranger = trained_home / "strangers" / "Edvard_Munch"
    stranger.mkdir(parents=True)
    Image.new("RGB", (80, 80)).save(stranger / "1.png")
    refused = run_in_process("evaluate", "artist/mine", "--data", "strangers", folder=trained_home)
    assert refused.returncode == 1
    assert refused.stderr.startswith("artdream: The network artist/mine does not know “Edvard Munch”")
    assert refused.stderr.count("\n") == 1


def test_its_map_is_drawn_once_and_the_same_again(trained_home: Path) -> None:
    folder = trained_home / "artdream-data" / "store" / "networks" / "mine"
    drawn = run_in_process("embed", "artist/mine", "--data", "data", folder=trained_home)
    assert drawn.returncode == 0, drawn.stderr
    assert "80 paintings. Of 8 that were not learned from" in drawn.stdout
    first = json.loads((folder / "map.json").read_text())
    assert first["network"] == "artist/mine"
    assert len(first["x"]) == len(first["artist"]) == 80
    again = run_artdream("embed", "artist/mine", "--data", "data", folder=trained_home)
    assert again.returncode == 0, again.stderr
    assert json.loads((folder / "map.json").read_text()) == first
    places = np.array([first["x"], first["y"]]).T
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    artists = np.array(first["artist"])
    assert np.mean(artists[apart.argmin(axis=1)] == artists) > 0.75


def test_it_dreams_as_its_painters(trained_home: Path) -> None:
    (trained_home / "photo.jpg").write_bytes(encode_jpeg(make_picture(3)))
    recipe = trained_home / "more.toml"
    recipe.write_text(
        'name = "more-anna"\nversion = 1\ntitle = "More Anna"\ndescription = "."\nnetwork = "artist/mine"\n'
        'canvas = 256\n[objective]\nkind = "classes"\nclasses = ["anna rot"]\n[ascent]\nsteps = 60\n'
    )
    dreamt = run_in_process("dream", "photo.jpg", "out.jpg", "--recipe", "more.toml", folder=trained_home)
    assert dreamt.returncode == 0, dreamt.stderr
    before, after = (float(part.strip(" %\n")) for part in dreamt.stdout.rpartition("Anna Rot:")[2].split("→"))
    assert after > before


def history_path(home: Path) -> Path:
    return home / "artdream-data" / "training" / "artist-mine" / "diary.json"
