"""Style statistics tell the artists of a data set apart, and dreams take on what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from shared.storage.store import Store
from tests.worker.dreaming.test_engine import make_landscape, make_recipe
from tests.worker.training.paintings import ARTIST_STYLES, paint, paint_folders
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.dreaming.style_measures import palette_distance
from worker.networks import Networks
from worker.networks.metadata import NetworkMetadata
from worker.networks.network import to_picture
from worker.networks.style_statistics import StyleStatistics
from worker.training.backbones import add_head, build_backbone
from worker.training.dataset import Dataset, Painting
from worker.training.export import serialize_network
from worker.training.input_pipeline import Floats
from worker.training.styles import (
    STYLE_LAYERS,
    TRIED_WORKS_PER_ARTIST,
    WORKS_PER_ARTIST,
    compute_style_statistics,
)
from worker.training.trial import Trial

pytestmark = pytest.mark.slow

ARTISTS = tuple(sorted(ARTIST_STYLES))


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    """Return networks with `artist/invented`, untrained, and the style statistics of four invented artists."""
    folder = tmp_path_factory.mktemp("styles")
    store = Store((folder / "store").as_uri())
    model = add_head(build_backbone("lite", folder).model, len(ARTISTS), 0)
    store.put("networks/invented/network.keras", serialize_network(model))
    store.put("networks/invented/network.json", NetworkMetadata(classes=ARTISTS).model_dump_json().encode())
    dataset = Dataset.open_folders(paint_folders(folder / "paintings", 8))
    labels = np.array([ARTISTS.index(dataset.artists[painting.artist]) for painting in dataset.paintings])
    networks = Networks(folder, store)
    styles = compute_style_statistics(networks.load("artist/invented"), dataset.paintings, labels)
    store.put("networks/invented/styles.npz", styles.statistics.to_npz())
    return networks


def load_statistics(networks: Networks) -> StyleStatistics:
    statistics = networks.style_statistics("artist/invented")
    assert statistics is not None
    return statistics


def test_each_artist_has_as_many_works(networks: Networks) -> None:
    statistics = load_statistics(networks)
    assert statistics.artist.tolist() == [artist for artist in range(4) for _ in range(WORKS_PER_ARTIST)]
    assert set(statistics.factors) == set(STYLE_LAYERS)


def test_a_work_that_could_be_another_artists_is_not_among_them(networks: Networks, tmp_path: Path) -> None:
    folder = paint_folders(tmp_path, 16)
    for number in range(3):  # in another artist's style
        paint("Bert Blau", 100 + number).save(folder / "Anna_Rot" / f"{number}.png")
    dataset = Dataset.open_folders(folder)
    labels = np.array([ARTISTS.index(dataset.artists[painting.artist]) for painting in dataset.paintings])
    styles = compute_style_statistics(networks.load("artist/invented"), dataset.paintings, labels)
    works = [dataset.paintings[index].path for index in styles.works]
    assert [path.parent.name for path in works] == [
        artist.replace(" ", "_") for artist in ARTISTS for _ in range(WORKS_PER_ARTIST)
    ]
    assert not {path.stem for path in works if path.parent.name == "Anna_Rot"} & {"0", "1", "2"}


@pytest.mark.parametrize("plain_color", [(255, 0, 0), (255, 235, 130), (40, 0, 0)], ids=["red", "pale", "dark"])
def test_a_nearly_empty_canvas_is_not_among_them(
    plain_color: tuple[int, int, int], networks: Networks, tmp_path: Path
) -> None:
    folder = paint_folders(tmp_path, 16)
    canvas = Image.new("RGB", (96, 96), plain_color)
    for number in range(13):  # all but as many as are kept
        Image.blend(canvas, paint("Anna Rot", number), 0.05).save(folder / "Anna_Rot" / f"{number}.png")
    dataset = Dataset.open_folders(folder)
    labels = np.array([ARTISTS.index(dataset.artists[painting.artist]) for painting in dataset.paintings])
    styles = compute_style_statistics(networks.load("artist/invented"), dataset.paintings, labels)
    works = [dataset.paintings[index].path for index in styles.works]
    assert {path.stem for path in works if path.parent.name == "Anna_Rot"} == {"13", "14", "15"}


def test_a_work_in_other_colours_than_usual_is_not_among_them(networks: Networks, tmp_path: Path) -> None:
    folder = paint_folders(tmp_path, 16)
    for number in range(6):  # in the colours of another artist, with brighter ones among them
        red, green, blue = paint("Anna Rot", number).split()
        Image.merge("RGB", (blue, green, red.point(lambda value: min(255, int(1.3 * value))))).save(
            folder / "Anna_Rot" / f"{number}.png"
        )
    dataset = Dataset.open_folders(folder)
    labels = np.array([ARTISTS.index(dataset.artists[painting.artist]) for painting in dataset.paintings])
    styles = compute_style_statistics(networks.load("artist/invented"), dataset.paintings, labels)
    works = [dataset.paintings[index].path for index in styles.works]
    assert not {path.stem for path in works if path.parent.name == "Anna_Rot"} & {str(number) for number in range(6)}


def test_of_the_works_that_were_tried_the_best_are_kept(networks: Networks, tmp_path: Path) -> None:
    tried: list[StyleStatistics] = []

    class RatingByLightness(Trial):
        def rate(self, statistics: StyleStatistics, on_progress: object = None) -> Floats:  # noqa: ARG002
            tried.append(statistics)
            return statistics.palettes[:, 0].mean(axis=1)

    dataset = Dataset.open_folders(paint_folders(tmp_path, 20))
    labels = np.array([ARTISTS.index(dataset.artists[painting.artist]) for painting in dataset.paintings])
    trial = RatingByLightness(networks, "artist/invented", "artist/invented")
    styles = compute_style_statistics(networks.load("artist/invented"), dataset.paintings, labels, trial=trial)
    assert np.bincount(tried[0].artist).tolist() == [TRIED_WORKS_PER_ARTIST] * 4
    for artist in range(4):
        tried_lightness = tried[0].palettes[tried[0].artist == artist, 0].mean(axis=1)
        kept = styles.statistics.palettes[styles.statistics.artist == artist, 0].mean(axis=1)
        assert kept.tolist() == sorted(tried_lightness.tolist(), reverse=True)[:WORKS_PER_ARTIST]
    for index, work in enumerate(styles.works):
        assert labels[work] == styles.statistics.artist[index]


def test_a_single_artist_with_a_single_work_has_that_one(networks: Networks, tmp_path: Path) -> None:
    paint("Dora Grau", 1).save(tmp_path / "work.png")
    painting = Painting(tmp_path / "work.png", 0)
    styles = compute_style_statistics(networks.load("artist/invented"), [painting], np.array([3]))
    assert (styles.works.tolist(), styles.statistics.artist.tolist()) == ([0], [3])


@pytest.mark.parametrize("artist", ARTISTS)
def test_a_new_work_is_nearest_to_its_own_artists_palette(artist: str, networks: Networks) -> None:
    statistics = load_statistics(networks)
    work = to_picture(np.asarray(paint(artist, 99).resize((256, 256), Image.Resampling.BICUBIC)))
    distances = [float(palette_distance(work, palettes[None])[0]) for palettes in statistics.palettes]
    assert ARTISTS[statistics.artist[int(np.argmin(distances))]] == artist


def test_a_dream_takes_on_the_palette_of_the_artist_that_it_asks_for(networks: Networks) -> None:
    engine, statistics = Engine(networks, ReferenceImages()), load_statistics(networks)

    def measure(artist: str, pixels: np.ndarray) -> float:
        palettes = statistics.palettes[statistics.artist == ARTISTS.index(artist)]
        return min(float(palette_distance(to_picture(pixels), each[None])[0]) for each in palettes)

    terms: list[dict[str, Any]] = [
        {"kind": "style", "layers": {"block1": 1.0, "block4": 1.0}},
        {"kind": "palette", "weight": 20},
        {"kind": "grain", "weight": 0.1},
    ]
    for artist in ("Anna Rot", "Bert Blau"):
        recipe = make_recipe(
            *(term | {"artist": artist} for term in terms),
            network="artist/invented",
            ascent={"parameterisation": "pyramid", "optimiser": "adam", "steps": 20, "step": 0.05, "jitter": 0},
        )
        dream = engine.dream(make_landscape(256, 192), recipe, seed=1).pixels
        assert measure(artist, dream) < 0.5 * measure(artist, make_landscape(256, 192))


def test_a_network_without_statistics_says_how_to_make_them(tmp_path: Path) -> None:
    recipe = make_recipe({"kind": "palette", "artist": "tench"})
    with pytest.raises(ArtDreamError, match=r"The network lite has no style statistics: make them with `artdream"):
        Engine(Networks(tmp_path), ReferenceImages()).dream(make_landscape(), recipe, seed=1)
