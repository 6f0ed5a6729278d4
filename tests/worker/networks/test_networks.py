"""Networks are found by name: the bundled and downloadable ones, and artists' networks in the installation's store."""

import json
from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from shared.storage.store import Store
from tests.worker.networks.keras_models import save_model
from tests.worker.networks.loaders.test_keras_file import make_classifier
from worker.networks import Networks
from worker.networks.loaders.downloads import INCEPTION_FIRST_LAYERS, PUBLISHED_WEIGHTS

BUNDLED_ARTISTS = ["artist/masters", "artist/masters-robust"]

METADATA = {"classes": ["Monet", "Klee", "Klimt"], "side": 160, "licence": "MIT", "source": "trained here"}


@pytest.fixture
def artist_store(tmp_path: Path) -> Store:
    folder = tmp_path / "store" / "networks" / "salon"
    folder.mkdir(parents=True)
    save_model(make_classifier(), folder / "network.keras")
    (folder / "network.json").write_text(json.dumps(METADATA))
    return Store((tmp_path / "store").as_uri())


def test_an_artists_network_comes_from_the_store(tmp_path: Path, artist_store: Store) -> None:
    networks = Networks(tmp_path, artist_store)
    network = networks.load("artist/salon")
    assert network is networks.load("artist/salon")
    assert (network.name, network.sides, network.class_index("klee")) == ("artist/salon", (160,), 1)


def test_the_list_names_the_artists_in_the_store(tmp_path: Path, artist_store: Store) -> None:
    *built_in, artist = Networks(tmp_path, artist_store).list_all()
    assert [entry.name for entry in built_in] == ["lite", "inception_v3", "vgg19", *BUNDLED_ARTISTS]
    assert [entry.is_available for entry in built_in] == [True, False, False, True, True]
    assert (artist.name, artist.source, artist.licence) == ("artist/salon", "trained here", "MIT")
    assert (artist.classes, artist.is_available) == (3, True)


def test_the_list_says_where_inception_ends_and_what_it_comes_from(tmp_path: Path) -> None:
    published = PUBLISHED_WEIGHTS["inception_v3"]
    INCEPTION_FIRST_LAYERS.path_in(tmp_path).touch()
    entry = Networks(tmp_path).list_all()[1]
    assert (entry.name, entry.source) == ("inception_v3", "nsfwjs, ImageNet up to mixed5, 8-bit weights")
    assert (entry.licence, entry.layers, entry.classes, entry.is_available) == ("MIT", 56, 0, True)

    published.path_in(tmp_path).touch()
    entry = Networks(tmp_path).list_all()[1]
    assert (entry.source, entry.licence) == ("Keras, ImageNet", "Apache-2.0")
    assert (entry.layers, entry.classes, entry.is_available) == (106, 1000, True)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("light", "lite"),
        ("inception", "inception_v3"),
        ("artist/saloon", "artist/salon"),
        ("artist/", "artist/salon"),
    ],
)
def test_an_unknown_network_is_named_with_near_ones(
    name: str, suggestion: str, tmp_path: Path, artist_store: Store
) -> None:
    with pytest.raises(ArtDreamError, match=rf"no network “{name}”\. Did you mean .*{suggestion}"):
        Networks(tmp_path, artist_store).load(name)


def test_an_artists_name_leads_nowhere_else(tmp_path: Path, artist_store: Store) -> None:
    for name in ("artist/../salon", "artist/salon/network.keras", "artist/.."):
        with pytest.raises(ArtDreamError, match="no network"):
            Networks(tmp_path, artist_store).load(name)
