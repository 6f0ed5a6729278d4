"""Every backbone can be trained: from ImageNet weights if they are available, otherwise from scratch."""

from pathlib import Path

import keras
import numpy as np
import pytest

from shared.errors import ArtDreamError
from tests.worker.networks.keras_models import describe_weights, make_pictures, randomize, save_model
from tests.worker.training.paintings import ARTIST_STYLES, paint_folders
from worker.networks.loaders.keras_applications import IMAGENET_MEANS
from worker.networks.loaders.keras_file import load_keras_file
from worker.networks.metadata import NetworkMetadata
from worker.training.backbones import add_head, build_backbone
from worker.training.config import TrainingConfig
from worker.training.dataset import Dataset
from worker.training.dataset.build import build_dataset
from worker.training.dataset.sources import find_pictures
from worker.training.evaluation import evaluate
from worker.training.export import serialize_network
from worker.training.head import train_head
from worker.training.optimizer import compute_rate_factors
from worker.training.trainer import train

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    build_dataset(find_pictures(paint_folders(folder / "src", 10, side=48)), folder / "set", side=48)
    return Dataset.open(folder / "set")


def test_vgg_learns_from_nothing_and_dreams(dataset: Dataset, tmp_path: Path) -> None:
    config = TrainingConfig.for_backbone("vgg19", side=48, batch=8, epochs=1, head_rounds=5)
    trained = train(dataset, config, tmp_path / "state", tmp_path / "no-weights")
    assert not trained.is_pretrained
    assert len(trained.history.epochs) == 1
    network = load_keras_file(
        "artist/mine", serialize_network(trained.model), NetworkMetadata(classes=dataset.artists, side=48), "float32"
    )
    picture = make_pictures(64, 96)
    classmap = np.asarray(network.feature_extractor(["classmap"])(picture)["classmap"])
    assert classmap.shape == (2, 2, 3, len(ARTIST_STYLES))  # class scores at each position, for any size
    expected = np.asarray(trained.model(picture))
    assert np.allclose(classmap.mean(axis=(1, 2)), expected, atol=0.05 * np.abs(expected).max())


def test_the_larger_lite_learns_from_imagenet_and_is_stored_in_ten_megabytes(dataset: Dataset, tmp_path: Path) -> None:
    backbone = build_backbone("lite2", tmp_path)
    assert backbone.is_pretrained
    model = add_head(backbone.model, len(dataset.artists), 0.1)
    config = TrainingConfig.for_backbone("lite2", side=64)
    train_head(model, dataset.get_part("train"), len(dataset.artists), config, lambda _: None)
    content = serialize_network(model)
    assert len(content) < 10e6
    network = load_keras_file("artist/mine", content, NetworkMetadata(classes=dataset.artists, side=64), "float32")
    assert network.feature_extractor(["block20"])(make_pictures(64, 96))["block20"].shape == (2, 2, 3, 352)
    assert evaluate(network, dataset.get_part("test"), dataset.artists).top1 >= 0.75  # by chance 0.25


def test_vgg_takes_up_what_it_knows_in_its_own_numbers(tmp_path: Path) -> None:
    original = randomize(keras.applications.VGG19(weights=None, include_top=False))
    weights = {"vgg19": describe_weights("vgg19", save_model(original, tmp_path / "vgg19.weights.h5"))}
    backbone = build_backbone("vgg19", tmp_path, weights)
    assert backbone.is_pretrained
    picture = make_pictures(64, 64)
    preprocessed = (picture * 127.5 + 127.5 - IMAGENET_MEANS)[..., ::-1]  # blue, green, red, without ImageNet's mean
    assert np.allclose(np.asarray(backbone.model(picture)), np.asarray(original(preprocessed)), rtol=1e-3, atol=1e-3)


def test_inception_takes_up_what_it_knows_at_any_size(tmp_path: Path) -> None:
    original = randomize(keras.applications.InceptionV3(weights=None))
    weights = {
        "inception_v3": describe_weights("inception_v3", save_model(original, tmp_path / "inception_v3.weights.h5"))
    }
    backbone = build_backbone("inception_v3", tmp_path, weights)
    assert backbone.is_pretrained
    picture = make_pictures(299, 299)
    expected = keras.Model(original.input, original.get_layer("mixed10").output)(picture)
    assert np.allclose(np.asarray(backbone.model(picture)), np.asarray(expected), rtol=1e-3, atol=1e-3)
    assert backbone.model(make_pictures(96, 128)).shape == (2, 1, 2, 2048)


def test_weights_that_are_damaged_are_told_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "vgg19.weights.h5").write_bytes(b"no weights")
    weights = {"vgg19": describe_weights("vgg19", tmp_path / "vgg19.weights.h5")}
    with pytest.raises(ArtDreamError, match="do not fit"):
        build_backbone("vgg19", tmp_path, weights)


@pytest.mark.parametrize("backbone", ["lite", "lite2", "vgg19"])
def test_layers_learn_the_slower_the_nearer_they_are_to_the_picture(backbone: str, tmp_path: Path) -> None:
    model = add_head(build_backbone(backbone, tmp_path).model, 3, 0.1)  # type: ignore[arg-type]
    rates = list(compute_rate_factors(model, 0.85).values())
    assert rates == sorted(rates)
    assert rates[-1] == 1
    assert 0.04 < rates[0] < 0.1
