"""A stylizer learns the styles of painters, and a training that was interrupted resumes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ArtDreamError
from shared.recipe.painters import PAINTING_NETWORK
from tests.pictures import make_picture
from worker.dreaming.style_measures import palette_distance
from worker.networks import Networks
from worker.networks.network import to_picture
from worker.networks.style_statistics import StyleStatistics
from worker.training.stylizer.config import StylizerConfig
from worker.training.stylizer.network import paint_in_all_styles
from worker.training.stylizer.pictures import list_pictures
from worker.training.stylizer.trainer import StylizerProgress, train_stylizer

pytestmark = pytest.mark.slow

PAINTERS = ("Vincent van Gogh", "Pablo Picasso")

CONFIG = StylizerConfig(painters=PAINTERS, steps=4, batch=2, side=64)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    return Networks(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three photos, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("photos") / "more"
    folder.mkdir()
    for number, path in enumerate((folder / "a.jpg", folder.parent / "b.png", folder.parent / "c.webp")):
        make_picture(number).save(path)
    return folder.parent


@pytest.fixture(scope="module")
def _state(networks: Networks, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "state"
    train(networks, photos, folder)
    return folder


@pytest.fixture
def state(_state: Path, tmp_path: Path) -> Path:
    """Return a folder with the state of a training with those photos."""
    return shutil.copytree(_state, tmp_path / "state")


def train(
    networks: Networks,
    photos: Path,
    folder: Path,
    config: StylizerConfig = CONFIG,
    on_progress: Callable[[StylizerProgress], None] = lambda _: None,
) -> keras.Model:
    """Train with a state after every other step."""
    statistics = networks.style_statistics(PAINTING_NETWORK)
    assert isinstance(statistics, StyleStatistics)
    judge, pictures = networks.load(PAINTING_NETWORK), list_pictures(photos)
    return train_stylizer(judge, statistics, pictures, config, folder, on_progress, save_interval=2)


def test_each_painting_takes_on_the_colors_of_its_painter(networks: Networks, photos: Path, tmp_path: Path) -> None:
    statistics = networks.style_statistics(PAINTING_NETWORK)
    assert statistics is not None
    judge, pixels = networks.load(PAINTING_NETWORK), np.asarray(make_picture(0))
    stylizer = train(networks, photos, tmp_path / "state", CONFIG.model_copy(update={"steps": 80}))
    paintings = paint_in_all_styles(stylizer, pixels)
    for number, painter in enumerate(PAINTERS):
        palettes = statistics.palettes[statistics.artist == judge.class_index(painter)]
        distances = [np.asarray(palette_distance(to_picture(painting), palettes)).min() for painting in paintings]
        assert np.argmin(distances) == number


def test_an_interrupted_training_resumes_to_the_same_result(networks: Networks, photos: Path, tmp_path: Path) -> None:
    losses: dict[int, float | None] = {}
    resumed_losses: dict[int, float | None] = {}

    def watch(progress: StylizerProgress) -> None:
        losses[progress.step] = progress.mean_loss
        if progress.step == 3:  # what an interruption at this moment would leave
            shutil.copytree(tmp_path / "one", tmp_path / "two")

    def watch_resumed(progress: StylizerProgress) -> None:
        resumed_losses[progress.step] = progress.mean_loss

    train(networks, photos, tmp_path / "one", on_progress=watch)
    train(networks, photos, tmp_path / "two", on_progress=watch_resumed)
    assert list(resumed_losses) == [3, 4]
    assert resumed_losses[4] == pytest.approx(losses[4], rel=0.02)
    assert [path.name for path in sorted((tmp_path / "two").iterdir())] == ["after-000004.weights.h5", "plan.json"]


def test_an_unknown_painter_is_named(networks: Networks, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtDreamError, match="“Nobody”"):
        train(networks, photos, tmp_path / "state", CONFIG.model_copy(update={"painters": ("Nobody",)}))


def test_other_options_do_not_continue_a_training(networks: Networks, photos: Path, state: Path) -> None:
    with pytest.raises(ArtDreamError, match="other options was begun"):
        train(networks, photos, state, CONFIG.model_copy(update={"seed": 1}))


def test_other_pictures_do_not_continue_a_training(
    networks: Networks, photos: Path, state: Path, tmp_path: Path
) -> None:
    fewer = shutil.copytree(photos, tmp_path / "photos")
    (fewer / "b.png").unlink()
    with pytest.raises(ArtDreamError, match="a training with other pictures was begun"):
        train(networks, fewer, state)


def test_a_damaged_picture_is_named(networks: Networks, photos: Path, tmp_path: Path) -> None:
    damaged = shutil.copytree(photos, tmp_path / "photos")
    for path in damaged.rglob("*.*"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtDreamError, match=r"The picture .* cannot be decoded"):
        train(networks, damaged, tmp_path / "state")


def test_a_damaged_state_is_named(networks: Networks, photos: Path, state: Path) -> None:
    (state / "after-000004.weights.h5").write_bytes(b"damaged")
    with pytest.raises(ArtDreamError, match=r"after-000004.weights.h5 cannot be read .* delete .* to start over"):
        train(networks, photos, state)


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(ArtDreamError, match="There are no pictures in"):
        list_pictures(tmp_path)
