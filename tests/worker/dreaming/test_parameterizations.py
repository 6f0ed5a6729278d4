"""What an ascent changes decides what its dreams look like; every parameterisation works with every other option."""

from pathlib import Path

import numpy as np
import pytest
from keras import ops

from tests.worker.dreaming.test_engine import (
    BLOCK10_TERM,
    ENGINE,
    Pixels,
    collect_frames,
    compute_activations,
    dream_pixels,
    make_landscape,
    make_recipe,
    mean_activation,
    mean_difference,
)
from worker.backend import count_traces, resize, value_and_gradient
from worker.dreaming import gradient, octaves
from worker.dreaming.engine import Engine
from worker.dreaming.parameterization import PARAMETERIZATIONS
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.network import to_picture

pytestmark = pytest.mark.slow

CHANGES = ("pyramid", "fourier")


def make_ascent(parameterisation: str, **overrides: object) -> dict[str, object]:
    defaults = {"parameterisation": parameterisation, "optimiser": "adam", "steps": 8, "step": 0.05, "jitter": 8}
    return defaults | overrides


def compute_fine_share(dream: Pixels, photo: Pixels) -> float:
    """Return the share of the change's energy above 0.25 cycles per pixel."""
    change = (dream.astype(float) - photo).mean(axis=-1)
    window = np.outer(np.hanning(change.shape[0]), np.hanning(change.shape[1]))
    power = np.abs(np.fft.fft2((change - change.mean()) * window)) ** 2
    radius = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in change.shape), indexing="ij"))
    return float(power[radius > 0.25].sum() / power.sum())


def test_a_pyramid_changes_shapes_and_hardly_any_grain() -> None:
    photo = make_landscape(256, 192)
    pyramid = dream_pixels(photo, make_recipe(BLOCK10_TERM, ascent=make_ascent("pyramid", steps=16)), seed=1)
    pixels = dream_pixels(photo, make_recipe(BLOCK10_TERM, ascent={"octaves": 1, "steps": 16, "levels": 0}), seed=1)
    assert mean_activation(pyramid) > 1.2 * mean_activation(photo)
    assert compute_fine_share(pyramid, photo) < 0.1 * compute_fine_share(pixels, photo)


@pytest.mark.parametrize("parameterisation", CHANGES)
def test_without_a_step_the_photo_hardly_changes(parameterisation: str) -> None:
    """Photos are drawn in by 2 % towards grey, so that black and white can change."""
    photo = make_landscape(256, 192)
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent(parameterisation, steps=1, step=1e-6))
    assert mean_difference(dream_pixels(photo, recipe, seed=1), photo) < 4


@pytest.mark.parametrize("parameterisation", CHANGES)
def test_outside_the_mask_not_a_single_pixel_changes(parameterisation: str) -> None:
    recipe = make_recipe(
        BLOCK10_TERM, mask={"kind": "ellipse", "width": 0.5, "height": 0.5}, ascent=make_ascent(parameterisation)
    )
    photo = make_landscape(256, 192)
    dream = dream_pixels(photo, recipe, seed=1)
    assert mean_difference(dream[80:112, 112:144], photo[80:112, 112:144]) > 3
    border = np.ones((192, 256), bool)
    border[40:152, 56:200] = False
    assert np.abs(dream[border].astype(int) - photo[border]).max() <= 1


@pytest.mark.parametrize("parameterisation", CHANGES)
def test_a_large_picture_is_dreamt_in_tiles(parameterisation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent(parameterisation))
    photo = make_landscape(256, 192)
    untiled = dream_pixels(photo, recipe, seed=1)
    for module in (gradient, octaves):
        monkeypatch.setattr(module, "MAX_TILE_SIDE", 96)
        monkeypatch.setattr(module, "MAX_UNTILED_SIDE", 128)
    tiled = dream_pixels(photo, recipe, seed=1)
    assert mean_activation(tiled) - mean_activation(photo) > 0.6 * (mean_activation(untiled) - mean_activation(photo))


@pytest.mark.parametrize("parameterisation", CHANGES)
def test_photos_dreamt_together_are_the_dreams_of_each(parameterisation: str) -> None:
    photos = [make_landscape(256, 192), np.ascontiguousarray(make_landscape(256, 192)[::-1])]
    engine = Engine(Networks(Path("/nowhere"), precision="float32"), ReferenceImages())
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent(parameterisation, view_scale=0.5, steps=5))
    batch = engine.dream_batch(photos, recipe, seeds=[5, 6])
    for photo, seed, dreamt in zip(photos, (5, 6), batch, strict=True):
        assert mean_difference(dreamt.pixels, engine.dream(photo, recipe, seed=seed).pixels) < 1.2


def test_a_picture_is_seen_at_every_scale_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real_make_gradient_fn = gradient.ObjectiveGradient.make_gradient_fn

    def make_gradient_fn(self: gradient.ObjectiveGradient, photo: object, *others: object) -> object:
        gradient_fn = real_make_gradient_fn(self, photo, *others)  # type: ignore[arg-type]
        width = int(photo.shape[2])  # type: ignore[attr-defined]

        def record(*arguments: object) -> object:
            seen.append(width)
            return gradient_fn(*arguments)  # type: ignore[arg-type]

        return record

    monkeypatch.setattr(gradient.ObjectiveGradient, "make_gradient_fn", make_gradient_fn)
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent("pyramid", view_scale=0.5, steps=8))
    dream_pixels(make_landscape(256, 192), recipe, seed=1)
    assert {width: seen.count(width) for width in seen} == {128: 2, 160: 2, 224: 2, 256: 2}


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_every_pixel_of_a_change_is_seen_at_every_scale(scale: float) -> None:
    """Fails at a quarter of the size without the average: bilinear resizing skips pixels, and dreams show a grid."""
    parameterization, mask = PARAMETERIZATIONS["pyramid", "photo"], np.ones((1, 1, 1, 1), np.float32)
    photos = to_picture(make_landscape(256, 192))
    view = resize(photos, round(192 * scale), round(256 * scale))
    parameters = [ops.convert_to_tensor(level) for level in parameterization.initialize(photos, photos, [0])]
    _, gradients = value_and_gradient(
        lambda *levels: ops.sum(parameterization.render(levels, view, mask)[..., :1], axis=(1, 2, 3)), *parameters
    )
    assert all(np.abs(np.asarray(gradient)).min() > 0 for gradient in gradients)


def test_a_pyramid_shows_frames_from_the_first_steps() -> None:
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent("pyramid", view_scale=0.5, steps=12))
    frames, dream = collect_frames(recipe, make_landscape(256, 192))
    assert frames[0].fraction < 0.1
    assert len(frames) >= 10
    assert np.array_equal(frames[-1].pixels, dream)


def test_a_pyramid_compiles_nothing_for_a_photo_of_another_shape() -> None:
    recipe = make_recipe(BLOCK10_TERM, ascent=make_ascent("pyramid", view_scale=0.5, steps=4))
    dream_pixels(make_landscape(256, 192), recipe, seed=1)
    before = count_traces()
    dream_pixels(make_landscape(192, 256), recipe, seed=1)
    assert count_traces() == before


@pytest.mark.parametrize("parameterisation", ["pyramid", "fourier", "phase"])
def test_from_noise_a_channel_grows_in_any_parameterisation(parameterisation: str) -> None:
    term = {"kind": "channels", "layer": "block10", "channels": [102]}
    recipe = make_recipe(term, start="noise", ascent=make_ascent(parameterisation, steps=24))
    dream = dream_pixels(make_landscape(), recipe, seed=1)
    assert np.array_equal(dream, dream_pixels(255 - make_landscape(), recipe, seed=1))
    grey = np.full((192, 256, 3), 128, np.uint8)
    strength = [float(compute_activations(pixels, "block10")[..., 102].mean()) for pixels in (dream, grey)]
    assert strength[0] > strength[1] + 1


def test_the_amplitudes_of_a_picture_of_phases_stay_those_of_a_photograph() -> None:
    term = {"kind": "channels", "layer": "block10", "channels": [102]}
    dream = dream_pixels(
        make_landscape(), make_recipe(term, start="noise", ascent=make_ascent("phase", steps=24)), seed=1
    )
    spectrum = np.abs(np.fft.fft2(dream.astype(float).mean(axis=-1)))
    bands = [spectrum[0, columns].mean() for columns in (slice(2, 8), slice(8, 32), slice(32, 64))]
    assert bands[0] > 2 * bands[1] > 4 * bands[2]


def test_a_log_probability_is_raised_without_raising_all_logits() -> None:
    recipes = [
        make_recipe(
            {"kind": "classes", "classes": ["peacock"], "measure": measure}, ascent=make_ascent("pyramid", steps=24)
        )
        for measure in ("log-probability", "logit")
    ]
    photo = make_landscape(256, 192)
    for recipe in recipes:
        dreamt = ENGINE.dream(photo, recipe, seed=1)
        assert dreamt.class_probabilities[0].dream > 2 * dreamt.class_probabilities[0].photo
