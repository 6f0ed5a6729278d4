"""The bundled networks: one names fifty painters, one dreams as each of them, and one judges the dreams."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from shared.art_map import ArtMap
from shared.errors import ArtDreamError
from shared.recipe.painters import CLASSIFIER_NETWORK, CRITIC_NETWORK, PAINTERS, PAINTING_NETWORK
from shared.recipe.recipe import Recipe, load_recipe
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.worker.dreaming.test_engine import make_landscape
from worker import networks
from worker.backend import count_traces
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks, catalogue
from worker.networks.catalogue import BUNDLED_ARTISTS_FOLDER, CHECKSUMS_FILE, verify_bundled_file
from worker.networks.embedding_map import EmbeddingMap
from worker.networks.metadata import parse_metadata

pytestmark = pytest.mark.slow

MASTERS_FOLDER = BUNDLED_ARTISTS_FOLDER / "masters"
CRITIC_FOLDER = BUNDLED_ARTISTS_FOLDER / "masters-critic"
NETWORKS = Networks(Path("nowhere"))
ENGINE = Engine(NETWORKS, ReferenceImages())


def load_small_recipe(name: str) -> Recipe:
    return load_recipe(name).model_copy(update={"canvas": 256, "size": None})


def test_it_is_small_and_knows_the_painters_that_have_recipes() -> None:
    metadata = parse_metadata((MASTERS_FOLDER / "network.json").read_bytes(), "network.json")
    assert metadata.classes == PAINTERS
    assert metadata.score is not None
    assert metadata.score.top1 >= 0.78
    assert (MASTERS_FOLDER / "network.keras").stat().st_size <= 12e6
    readme = (MASTERS_FOLDER / "README.md").read_text(encoding="utf-8")
    assert NETWORKS.load(CLASSIFIER_NETWORK).digest in readme
    assert metadata.lesson is not None
    assert metadata.lesson.command in readme


def test_the_critic_is_of_another_size_and_has_seen_noise() -> None:
    metadata = parse_metadata((CRITIC_FOLDER / "network.json").read_bytes(), "network.json")
    painting_folder = BUNDLED_ARTISTS_FOLDER / PAINTING_NETWORK.removeprefix("artist/")
    painting = parse_metadata((painting_folder / "network.json").read_bytes(), "network.json")
    assert metadata.classes == PAINTERS
    assert metadata.lesson is not None
    assert painting.lesson is not None
    assert metadata.lesson.backbone != painting.lesson.backbone
    assert float(metadata.lesson.plan["noise"]) > 0
    assert metadata.score is not None
    assert metadata.score.top1 > 0.7
    assert metadata.score.calibration_error < 0.05
    assert NETWORKS.load(CRITIC_NETWORK).digest in (CRITIC_FOLDER / "README.md").read_text(encoding="utf-8")
    assert (CRITIC_FOLDER / "network.keras").stat().st_size <= 12e6


@pytest.mark.parametrize("painter", ["paul-klee", "rembrandt"])
def test_a_dream_of_a_painter_is_more_of_that_painter_to_a_network_that_was_not_climbed(painter: str) -> None:
    dreamt = ENGINE.dream(make_landscape(), load_small_recipe(f"more-{painter}"), seed=1)
    probability = dreamt.class_probabilities[0]
    assert dreamt.critic == CRITIC_NETWORK != load_recipe(f"more-{painter}").network
    assert probability.name == painter.replace("-", " ").title()
    assert probability.dream > max(0.03, 3 * probability.photo)


def test_a_dream_comes_nearer_to_its_painter_on_the_critics_map() -> None:
    map_point = ENGINE.dream(make_landscape(), load_small_recipe("more-paul-klee"), seed=1).map_point
    embedding_map = NETWORKS.embedding_map(CRITIC_NETWORK)
    assert map_point is not None
    assert embedding_map is not None
    assert map_point.network == CRITIC_NETWORK
    center = np.median(embedding_map.places[embedding_map.artist == PAINTERS.index("Paul Klee")], axis=0)
    before, after = (np.linalg.norm(np.array(point) - center) for point in (map_point.photo, map_point.dream))
    assert after < before


def test_the_network_that_is_dreamt_through_withstands_what_it_was_trained_against() -> None:
    folder = BUNDLED_ARTISTS_FOLDER / PAINTING_NETWORK.removeprefix("artist/")
    metadata = parse_metadata((folder / "network.json").read_bytes(), "network.json")
    assert metadata.classes == PAINTERS
    assert metadata.robustness is not None
    assert metadata.robustness.attacked_top1 > 0.3  # by chance 0.02, and of an ordinary network hardly more
    assert (folder / "network.keras").stat().st_size <= 8e6
    assert (folder / "styles.npz").stat().st_size <= 1.5e6
    assert metadata.lesson is not None
    assert metadata.lesson.command in (folder / "README.md").read_text(encoding="utf-8")


def test_every_painter_has_style_statistics() -> None:
    statistics = NETWORKS.style_statistics(PAINTING_NETWORK)
    assert statistics is not None
    assert set(statistics.artist.tolist()) == set(range(len(PAINTERS)))


def test_a_second_painter_compiles_nothing() -> None:
    ENGINE.dream(make_landscape(), load_small_recipe("more-paul-klee"), seed=1)
    before = count_traces()
    ENGINE.dream(make_landscape(), load_small_recipe("more-claude-monet"), seed=1)
    assert count_traces() == before


def test_the_map_is_put_into_a_store_that_has_none(tmp_path: Path) -> None:
    store = Store((tmp_path / "store").as_uri())
    Networks(tmp_path, store).store_bundled_maps()
    content = store.get("networks/masters-critic/map.json")
    assert content is not None
    art_map = ArtMap.model_validate_json(content)
    assert art_map.artists == PAINTERS
    assert art_map.network == CRITIC_NETWORK
    assert set(art_map.picture) == {""}
    store.put("networks/masters-critic/map.json", b"{}")  # a map of the operator's own
    Networks(tmp_path, store).store_bundled_maps()
    assert store.get("networks/masters-critic/map.json") == b"{}"


def test_the_same_features_have_the_same_map_point_and_a_damaged_embedding_map_is_an_error() -> None:
    content = (CRITIC_FOLDER / "atlas.npz").read_bytes()
    embedding_map = EmbeddingMap.from_npz(content, "atlas.npz")
    features = np.random.default_rng(1).random((2, embedding_map.mean.shape[0]), np.float32)
    points = embedding_map.locate(features)
    assert points.shape == (2, 2)
    assert np.array_equal(points, EmbeddingMap.from_npz(content, "atlas.npz").locate(features))
    assert np.abs(points).max() <= np.abs(embedding_map.places).max() * 1.2
    for damaged in (b"", b"no archive", content[: len(content) // 2]):
        with pytest.raises(ArtDreamError, match=r"The map atlas.npz cannot be read"):
            EmbeddingMap.from_npz(damaged, "atlas.npz")


def test_a_hybrid_takes_after_a_work_that_the_installation_owns(tmp_path: Path) -> None:
    store = Store((tmp_path / "store").as_uri())
    engine = Engine(Networks(tmp_path, store), ReferenceImages(store))
    with pytest.raises(ArtDreamError, match="There are no artworks of “Paul Klee”"):
        engine.dream(make_landscape(), load_small_recipe("hybrid-paul-klee"), seed=1)
    store.put("references/Paul Klee/one.jpg", encode_jpeg(make_picture(5)))
    dreamt = engine.dream(make_landscape(), load_small_recipe("hybrid-paul-klee"), seed=1)
    assert dreamt.artworks == ("Paul Klee/one.jpg",)
    assert dreamt.class_probabilities[0].dream > dreamt.class_probabilities[0].photo


def test_every_bundled_file_is_the_one_that_was_pinned() -> None:
    """To renew the sums: `sha256sum */atlas.npz */map.json */network.json */network.keras > SHA256SUMS`."""
    files = [path for path in BUNDLED_ARTISTS_FOLDER.glob("*/*") if path.suffix in (".npz", ".json", ".keras")]
    assert len(files) == len(CHECKSUMS_FILE.read_text().splitlines()) >= 4
    for path in files:
        assert verify_bundled_file(path, path.read_bytes())


def test_a_bundled_network_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails without the checksums."""
    shutil.copytree(BUNDLED_ARTISTS_FOLDER, tmp_path / "artists")
    critic_folder = tmp_path / "artists" / "masters-critic"
    monkeypatch.setattr(networks, "BUNDLED_ARTISTS_FOLDER", tmp_path / "artists")
    monkeypatch.setattr(catalogue, "BUNDLED_ARTISTS_FOLDER", tmp_path / "artists")
    for name, load in (("network.keras", Networks.load), ("atlas.npz", Networks.embedding_map)):
        content = (critic_folder / name).read_bytes()
        (critic_folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(ArtDreamError, match=rf"{name} is not the file that came with ArtDream"):
            load(Networks(Path("nowhere")), CRITIC_NETWORK)
