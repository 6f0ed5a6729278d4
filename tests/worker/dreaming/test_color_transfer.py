"""A photo is toned as a whole: its colours become the palette's, and what it shows stays."""

import numpy as np
import pytest

from tests.worker.dreaming.test_engine import dream_pixels, make_landscape, make_recipe, mean_difference
from worker.dreaming.color_transfer import estimate_moments, tone_photo
from worker.dreaming.parameterization import PARAMETERIZATIONS
from worker.dreaming.style_measures import palette, palette_distance, to_lab
from worker.networks.network import to_picture

RNG = np.random.default_rng(0)
PHOTO = to_picture(make_landscape(128, 96))
PAINTING = to_picture(np.clip(RNG.normal((150, 90, 60), (40, 25, 20), (96, 96, 3)), 0, 255).astype(np.uint8))


def test_the_moments_of_a_palette_are_those_of_its_colours() -> None:
    mean, covariance = estimate_moments(np.asarray(palette(PAINTING, square=1))[0])
    colors = np.asarray(to_lab(PAINTING)).reshape(-1, 3)
    assert mean == pytest.approx(colors.mean(axis=0), abs=0.01)
    assert covariance == pytest.approx(np.cov(colors.T), abs=0.002)


def test_a_toned_photo_has_the_palette_and_its_own_shapes() -> None:
    palettes = np.asarray(palette(PAINTING, square=1))
    toned = tone_photo(PHOTO[0], palettes[0], 1.0)[None]
    half = tone_photo(PHOTO[0], palettes[0], 0.5)[None]
    distances = [float(palette_distance(picture, palettes)[0]) for picture in (PHOTO, half, toned)]
    assert distances[2] < 0.1 * distances[0]
    assert distances[2] < distances[1] < distances[0]
    before, after = (np.asarray(to_lab(picture)).reshape(-1, 3) for picture in (PHOTO, toned))
    design = np.column_stack([before, np.ones(len(before))])
    residual = after - design @ np.linalg.lstsq(design, after, rcond=None)[0]
    assert residual.var() < 0.02 * after.var(axis=0).sum()  # one map for all pixels, but for colours out of range


def test_no_way_at_all_leaves_the_photo_and_a_photo_of_one_colour_can_be_toned() -> None:
    palettes = np.asarray(palette(PAINTING, square=1))
    assert np.abs(tone_photo(PHOTO[0], palettes[0], 0.0) - PHOTO[0]).max() < 0.01
    grey = np.zeros((8, 8, 3), np.float32)
    assert np.isfinite(tone_photo(grey, palettes[0], 1.0)).all()


def test_a_pyramid_can_start_from_any_picture() -> None:
    parameterization, mask = PARAMETERIZATIONS["pyramid", "photo"], np.ones((1, 1, 1, 1), np.float32)
    start = tone_photo(PHOTO[0], np.asarray(palette(PAINTING, square=1))[0], 0.8)[None]
    rendered = np.asarray(parameterization.render(parameterization.initialize(start, PHOTO, [0]), PHOTO, mask))
    assert np.abs(rendered - 0.98 * start).max() < 0.01
    unchanged = parameterization.initialize(PHOTO, PHOTO, [0])
    assert all(np.abs(level).max() == 0 for level in unchanged)


def test_a_dream_starts_toned_inside_its_mask_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from worker.dreaming import engine
    from worker.dreaming.color_transfer import Toning

    palettes = np.asarray(palette(PAINTING, square=1))
    monkeypatch.setattr(engine, "find_toning", lambda *_: Toning(palettes, 1.0))
    photo = make_landscape(256, 192)
    recipe = make_recipe(
        {"kind": "layers", "layers": {"block4": 1}},
        mask={"kind": "ellipse", "width": 0.5, "height": 0.5},
        ascent={"parameterisation": "pyramid", "optimiser": "adam", "steps": 1, "step": 1e-6},
    )
    dream = dream_pixels(photo, recipe, seed=1)
    assert mean_difference(dream[80:112, 112:144], photo[80:112, 112:144]) > 20
    assert np.abs(dream[:30].astype(int) - photo[:30]).max() <= 1
