"""Works of painters are distinguished by texture and by palette, measured once, and a killed run resumes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.layer_statistics import STATISTICS_LAYERS, STATISTICS_NETWORK, LayerStatistics, Moments, describe_style
from benchmarks.painter_works import PainterWorks, measure_picture
from shared.errors import ArtDreamError
from worker.networks import Networks
from worker.networks.network import Network

WORKS, SIDE = 12, 96


def draw_clouds(rng: np.random.Generator) -> np.ndarray:
    """Return soft blue spots."""
    noise = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8)).filter(ImageFilter.GaussianBlur(6))
    return np.stack([0 * np.asarray(noise), np.asarray(noise), 255 + 0 * np.asarray(noise)], -1)


def draw_stripes(rng: np.random.Generator) -> np.ndarray:
    """Return hard red and black stripes of any direction."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, phase = rng.uniform(0, np.pi, 2)
    wave = np.sin(0.6 * (x * np.cos(angle) + y * np.sin(angle)) + phase) > 0
    return np.stack([255 * wave, 0 * wave, 0 * wave], -1).astype(np.uint8)


def draw_grain(rng: np.random.Generator) -> np.ndarray:
    """Return grey grain."""
    return np.repeat(rng.integers(80, 180, (SIDE, SIDE, 1), np.uint8), 3, axis=-1)


PAINTERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "Ana_Clouds": draw_clouds,
    "Bo_Stripes": draw_stripes,
    "Édith_Grain": draw_grain,
}


@pytest.fixture(scope="module")
def network() -> Network:
    return Networks(Path("no-weights"), None, "float32").load(STATISTICS_NETWORK)


@pytest.fixture(scope="module")
def statistics(network: Network) -> LayerStatistics:
    return LayerStatistics(network)


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paintings")
    for painter, draw in PAINTERS.items():
        (folder / painter).mkdir()
        rng = np.random.default_rng(1)
        for number in range(WORKS):
            Image.fromarray(draw(rng)).save(folder / painter / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def works(paintings: Path, statistics: LayerStatistics, cache: Path) -> PainterWorks:
    return PainterWorks.measure(paintings, statistics, "digest", cache)


def test_works_that_were_held_back_are_known_by_every_measure(works: PainterWorks) -> None:
    assert works.painters == ("Ana Clouds", "Bo Stripes", "Édith Grain")
    for name in ("judge", "noisy_judge", "blurred_judge", "texture", "palette"):
        assert len(works.held_back[name]) == len(PAINTERS) * 2, name  # a fifth of twelve
        assert (works.held_back[name] == 1).mean() >= 0.8, name


def test_a_new_picture_of_any_size_is_known(works: PainterWorks, statistics: LayerStatistics) -> None:
    rng = np.random.default_rng(2)
    for painter, draw in enumerate(PAINTERS.values()):
        picture = np.concatenate([draw(rng), draw(rng)], axis=1)[10:]
        ranks = works.compare(measure_picture(statistics, picture)).ranks(painter)
        assert ranks["judge"] == ranks["texture"] == ranks["palette"] == 1


def test_texture_and_palette_are_different_questions(works: PainterWorks, statistics: LayerStatistics) -> None:
    blue_stripes = draw_stripes(np.random.default_rng(3))[..., ::-1]
    distances = works.compare(measure_picture(statistics, blue_stripes))
    assert np.argmin(distances.palette) != works.find_painter("Bo Stripes")
    assert np.argmin(distances.judge) == works.find_painter("Bo Stripes")


def test_painters_are_found_without_accents_and_unknown_ones_are_refused(works: PainterWorks) -> None:
    assert works.find_painter("edith grain") == 2
    with pytest.raises(ArtDreamError, match=r"no paintings by Bo Stripe\. .*Bo Stripes"):
        works.find_painter("Bo Stripe")


class DyingStatistics:
    """Counts what is measured, and fails after some calls, as a killed process would."""

    def __init__(self, statistics: LayerStatistics, calls: int) -> None:
        self._statistics, self._calls_left = statistics, calls
        self.pictures = 0

    def measure(self, pictures: np.ndarray) -> list[Moments]:
        if not self._calls_left:
            raise KeyboardInterrupt
        self._calls_left -= 1
        self.pictures += len(pictures)
        return self._statistics.measure(pictures)


@pytest.mark.slow
def test_a_killed_run_is_continued_and_a_finished_one_measures_nothing(
    paintings: Path, statistics: LayerStatistics, works: PainterWorks, tmp_path: Path
) -> None:
    dying = DyingStatistics(statistics, calls=4)  # three a painter: clean, noisy, blurred
    with pytest.raises(KeyboardInterrupt):
        PainterWorks.measure(paintings, dying, "digest", tmp_path)  # type: ignore[arg-type]
    continued = DyingStatistics(statistics, calls=6)
    resumed = PainterWorks.measure(paintings, continued, "digest", tmp_path)  # type: ignore[arg-type]
    assert continued.pictures == 2 * 3 * WORKS
    again = PainterWorks.measure(paintings, DyingStatistics(statistics, calls=0), "digest", tmp_path)  # type: ignore[arg-type]
    for other in (resumed, again):
        np.testing.assert_array_equal(other.palettes, works.palettes)
        np.testing.assert_allclose(other.judge.weights, works.judge.weights, atol=1e-6)
        np.testing.assert_array_equal(other.held_back["judge"], works.held_back["judge"])
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]


@pytest.mark.slow
@pytest.mark.usefixtures("works")
def test_another_network_measures_the_works_anew(paintings: Path, statistics: LayerStatistics, cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        PainterWorks.measure(paintings, DyingStatistics(statistics, calls=0), "other", cache)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.usefixtures("works")
def test_another_painting_is_measured_too(
    paintings: Path, statistics: LayerStatistics, cache: Path, tmp_path: Path
) -> None:
    shutil.copytree(paintings, tmp_path / "paintings")
    shutil.copy(tmp_path / "paintings/Ana_Clouds/00.png", tmp_path / "paintings/Ana_Clouds/new.png")
    with pytest.raises(KeyboardInterrupt):
        PainterWorks.measure(
            tmp_path / "paintings",
            DyingStatistics(statistics, calls=0),  # type: ignore[arg-type]
            "digest",
            cache,
        )


def test_moments_are_those_of_the_activations(network: Network, statistics: LayerStatistics) -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)
    layer = STATISTICS_LAYERS[0]
    activations = np.asarray(network.feature_extractor((layer,))(pictures / 127.5 - 1)[layer])
    moments = statistics.measure(pictures)[0]
    positions = activations.reshape(2, -1, activations.shape[-1])
    np.testing.assert_allclose(moments.means, positions.mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(moments.covariances[1], np.cov(positions[1].T, bias=True), atol=1e-3)
    gram = positions[0].T @ positions[0] / positions.shape[1]
    np.testing.assert_allclose(moments.grams[0], gram, rtol=1e-3, atol=1e-3)


def test_a_style_knows_neither_contrast_in_correlations_nor_order_of_positions() -> None:
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4))

    def describe(values: np.ndarray) -> np.ndarray:
        covariances = np.cov(values.T, bias=True)[None].astype(np.float32)
        return describe_style([Moments(values.mean(axis=0)[None].astype(np.float32), covariances)])[0]

    style = describe(positions)
    assert style.shape == (4 + 4 + 6,)
    np.testing.assert_allclose(describe(rng.permutation(positions)), style, atol=1e-4)
    stronger = describe(3 * positions)
    np.testing.assert_allclose(stronger[4:8] - style[4:8], np.log(3), atol=1e-4)
    np.testing.assert_allclose(np.delete(stronger, range(4, 8)), np.delete(style, range(4, 8)), atol=1e-4)
