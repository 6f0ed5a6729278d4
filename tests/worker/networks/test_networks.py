"""Networks are found by name: the bundled and downloadable ones, and artists' networks in the installation's store."""

import contextlib
import gc
import json
import threading
import weakref
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

import worker.networks
from shared.errors import ArtDreamError
from shared.storage.store import Store
from tests.worker.networks.keras_models import save_model
from tests.worker.networks.loaders.test_keras_file import make_classifier
from worker.networks import Networks, catalogue
from worker.networks.loaders import keras_file
from worker.networks.loaders.downloads import INCEPTION_FIRST_LAYERS, PUBLISHED_WEIGHTS
from worker.networks.loaders.keras_file_validation import limit_weight_count
from worker.networks.loaders.lite_variants import LITE_VARIANTS

BUNDLED_ARTISTS = ["artist/masters", "artist/masters-critic", "artist/masters-robust"]

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


def test_the_networks_that_were_used_last_stay_loaded_and_no_others(
    tmp_path: Path, artist_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: jobs that each named another network of the store took more memory for good."""
    monkeypatch.setattr(worker.networks, "MAX_LOADED_NETWORKS", 2)
    networks = Networks(tmp_path, artist_store)
    first, second = (weakref.ref(networks.load(name)) for name in ("lite", "artist/salon"))
    assert networks.load("lite") is first()
    networks.load("artist/masters")
    gc.collect()
    assert networks.load("lite") is first()
    assert second() is None


def test_two_networks_are_never_loaded_at_the_same_time(
    tmp_path: Path, artist_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guest's dream and a video load networks in two threads. Loading one changes Keras and stderr for that time.

    Seen failing: the second one to begin took these changes for the original state, and made them last.
    """
    both_load, met = threading.Barrier(2), list[int]()

    def meet_and_limit(max_count: int) -> AbstractContextManager[None]:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(both_load.wait(timeout=2))
        return limit_weight_count(max_count)

    monkeypatch.setattr(keras_file, "limit_weight_count", meet_and_limit)
    threads = [threading.Thread(target=Networks(tmp_path, artist_store).load, args=("artist/salon",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not met


def test_the_list_names_the_artists_in_the_store(tmp_path: Path, artist_store: Store) -> None:
    *built_in, artist = Networks(tmp_path, artist_store).list_all()
    assert [entry.name for entry in built_in] == ["lite", "lite2", "inception_v3", "vgg19", *BUNDLED_ARTISTS]
    assert [entry.is_available for entry in built_in] == [True, True, False, False, True, True, True]
    assert (artist.name, artist.source, artist.licence) == ("artist/salon", "trained here", "MIT")
    assert (artist.classes, artist.is_available) == (3, True)


def test_the_list_has_the_figures_of_the_files_of_lite(tmp_path: Path) -> None:
    """The tests of their loader compare them with the files."""
    entries = {entry.name: entry for entry in Networks(tmp_path).list_all()}
    for name, variant in LITE_VARIANTS.items():
        entry = entries[name]
        assert (entry.source, entry.licence) == (f"{variant.title}, ImageNet", "Apache-2.0")
        assert (entry.size, entry.layers, entry.classes) == (variant.size, variant.layers, 1000)


def test_a_network_without_weights_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = {name: replace(variant, package="no_such_package") for name, variant in LITE_VARIANTS.items()}
    monkeypatch.setattr(catalogue, "LITE_VARIANTS", absent)
    remedies = {entry.name: entry.remedy for entry in Networks(tmp_path).list_all() if not entry.is_available}
    assert remedies == {
        "lite": "install `artdream[worker]`",
        "lite2": "install `artdream[train]`",
        "inception_v3": "`artdream networks fetch inception_v3`",
        "vgg19": "`artdream networks fetch vgg19`",
    }


def test_the_list_says_where_inception_ends_and_what_it_comes_from(tmp_path: Path) -> None:
    published = PUBLISHED_WEIGHTS["inception_v3"]
    INCEPTION_FIRST_LAYERS.path_in(tmp_path).touch()
    entry = Networks(tmp_path).list_all()[2]
    assert (entry.name, entry.source) == ("inception_v3", "nsfwjs, ImageNet up to mixed5, 8-bit weights")
    assert (entry.licence, entry.layers, entry.classes, entry.is_available) == ("MIT", 56, 0, True)

    published.path_in(tmp_path).touch()
    entry = Networks(tmp_path).list_all()[2]
    assert (entry.source, entry.licence) == ("Keras, ImageNet", "Apache-2.0")
    assert (entry.layers, entry.classes, entry.is_available) == (106, 1000, True)


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("light", "lite"),
        ("lite3", "lite2"),
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


@pytest.mark.parametrize("name", LITE_VARIANTS)
def test_a_network_from_a_package_is_neither_fetched_nor_read_as_a_file(name: str, tmp_path: Path) -> None:
    networks, extra = Networks(tmp_path), LITE_VARIANTS[name].extra
    with pytest.raises(
        ArtDreamError, match=rf"nothing to fetch for “{name}”: the extra “{extra}” of artdream brings it"
    ):
        networks.download_weights(name)
    with pytest.raises(ArtDreamError, match=rf"network {name} is not stored as a \.keras file"):
        networks.read_file(name)


def test_an_artists_name_leads_nowhere_else(tmp_path: Path, artist_store: Store) -> None:
    for name in ("artist/../salon", "artist/salon/network.keras", "artist/.."):
        with pytest.raises(ArtDreamError, match="no network"):
            Networks(tmp_path, artist_store).load(name)
