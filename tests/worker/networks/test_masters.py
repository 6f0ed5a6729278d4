"""`artist/masters`, the bundled network, knows its fifty painters, and dreams as each of them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from shared.art_map import ArtMap
from shared.errors import ArtDreamError
from shared.recipe.painters import BUNDLED_NETWORK, PAINTERS
from shared.recipe.recipe import Recipe, load_recipe
from shared.storage.store import Store
from tests.pictures import colours, jpeg
from tests.worker.dreaming.test_engine import landscape
from worker import networks
from worker.backend import traces
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import References
from worker.networks import Networks, catalogue
from worker.networks.catalogue import ARTISTS, SUMS, genuine
from worker.networks.embedding_map import Atlas
from worker.networks.metadata import read_card

FOLDER = ARTISTS / "masters"
NETWORKS = Networks(Path("nowhere"))
ENGINE = Engine(NETWORKS, References())


def small(name: str) -> Recipe:
    return load_recipe(name).model_copy(update={"canvas": 256})


def test_it_is_small_and_knows_the_painters_that_have_recipes() -> None:
    card = read_card((FOLDER / "network.json").read_bytes(), "network.json")
    assert card.classes == PAINTERS
    assert card.score is not None
    assert card.score.top1 >= 0.78
    assert (FOLDER / "network.keras").stat().st_size <= 12e6
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert NETWORKS.load(BUNDLED_NETWORK).digest in told
    assert card.lesson is not None
    assert card.lesson.command in told


@pytest.mark.parametrize("painter", ["paul-klee", "rembrandt"])
def test_a_dream_of_a_painter_is_more_of_that_painter_and_comes_nearer_on_the_map(painter: str) -> None:
    dreamt = ENGINE.dream(landscape(), small(f"more-{painter}"), seed=1)
    verdict = dreamt.verdicts[0]
    assert verdict.name == painter.replace("-", " ").title()
    assert verdict.dream > 0.5
    assert verdict.photo < 0.1
    assert dreamt.place is not None
    atlas = NETWORKS.atlas(BUNDLED_NETWORK)
    assert atlas is not None
    home = np.median(atlas.places[atlas.artist == PAINTERS.index(verdict.name)], axis=0)
    before, after = (np.linalg.norm(np.array(place) - home) for place in (dreamt.place.photo, dreamt.place.dream))
    assert after < before


def test_a_second_painter_compiles_nothing() -> None:
    ENGINE.dream(landscape(), small("more-paul-klee"), seed=1)
    before = traces()
    ENGINE.dream(landscape(), small("more-claude-monet"), seed=1)
    assert traces() == before


def test_the_map_is_put_into_a_store_that_has_none(tmp_path: Path) -> None:
    store = Store((tmp_path / "store").as_uri())
    Networks(tmp_path, store).offer_maps()
    content = store.get("networks/masters/map.json")
    assert content is not None
    shown = ArtMap.model_validate_json(content)
    assert shown.artists == PAINTERS
    assert shown.network == BUNDLED_NETWORK
    assert set(shown.picture) == {""}
    store.put("networks/masters/map.json", b"{}")  # somebody's own
    Networks(tmp_path, store).offer_maps()
    assert store.get("networks/masters/map.json") == b"{}"


def test_the_same_features_have_the_same_place_and_a_damaged_atlas_is_told() -> None:
    content = (FOLDER / "atlas.npz").read_bytes()
    atlas = Atlas.read(content, "atlas.npz")
    features = np.random.default_rng(1).random((2, atlas.mean.shape[0]), np.float32)
    first = atlas.place(features)
    assert first.shape == (2, 2)
    assert np.array_equal(first, Atlas.read(content, "atlas.npz").place(features))
    assert np.abs(first).max() <= np.abs(atlas.places).max() * 1.2
    for damaged in (b"", b"no archive", content[: len(content) // 2]):
        with pytest.raises(ArtDreamError, match=r"The atlas atlas.npz cannot be read"):
            Atlas.read(damaged, "atlas.npz")


def test_a_hybrid_takes_after_a_work_that_the_installation_owns(tmp_path: Path) -> None:
    store = Store((tmp_path / "store").as_uri())
    engine = Engine(Networks(tmp_path, store), References(store))
    with pytest.raises(ArtDreamError, match="There are no artworks of “Paul Klee”"):
        engine.dream(landscape(), small("hybrid-paul-klee"), seed=1)
    store.put("references/Paul Klee/one.jpg", jpeg(colours(5)))
    dreamt = engine.dream(landscape(), small("hybrid-paul-klee"), seed=1)
    assert dreamt.artworks == ("Paul Klee/one.jpg",)
    assert dreamt.verdicts[0].dream > dreamt.verdicts[0].photo


def test_every_bundled_file_is_the_one_that_was_pinned() -> None:
    """Whoever bundles another: `sha256sum */atlas.npz */map.json */network.json */network.keras > SHA256SUMS`."""
    files = [path for path in ARTISTS.glob("*/*") if path.suffix in (".npz", ".json", ".keras")]
    assert len(files) == len(SUMS.read_text().splitlines()) >= 4
    for path in files:
        assert genuine(path, path.read_bytes())


def test_a_bundled_network_that_was_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing without the sums."""
    shutil.copytree(ARTISTS, tmp_path / "artists")
    changed = tmp_path / "artists" / "masters"
    monkeypatch.setattr(networks, "ARTISTS", tmp_path / "artists")
    monkeypatch.setattr(catalogue, "ARTISTS", tmp_path / "artists")
    for name, use in (("network.keras", Networks.load), ("atlas.npz", Networks.atlas)):
        whole = (changed / name).read_bytes()
        (changed / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ArtDreamError, match=rf"{name} is not the file that came with ArtDream"):
            use(Networks(Path("nowhere")), "artist/masters")
