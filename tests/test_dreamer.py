"""The tests' dreamer keeps the promises of `worker.dreamer.Dreamer`, and its workers load no network's library."""

import sys
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ArtDreamError
from shared.recipe.recipe import Recipe, load_recipe
from tests.dreamer import CRASHING, FAILING, HELD, StepDreamer, release_dreams
from tests.fault.installation import FaultInstallation
from tests.pictures import make_picture
from tests.recipes import write_recipe
from worker.dreamer import Frame, Pixels


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return load_recipe(str(write_recipe(tmp_path, steps=3)))


def dream(data: Path, recipe: Recipe, *, photo: int = 0, seed: int = 0) -> Pixels:
    return StepDreamer(data).dream(np.asarray(make_picture(photo)), recipe, seed=seed).pixels


def test_the_same_photo_recipe_and_seed_give_the_same_dream_and_others_another(tmp_path: Path, recipe: Recipe) -> None:
    first = dream(tmp_path, recipe)
    assert first.shape == (192, 256, 3)
    assert np.array_equal(first, dream(tmp_path, recipe))
    other_recipe = recipe.model_copy(update={"version": 2})
    for other in (dream(tmp_path, recipe, photo=1), dream(tmp_path, recipe, seed=1), dream(tmp_path, other_recipe)):
        assert not np.array_equal(first, other)


def test_a_batch_gives_each_photo_the_dream_that_it_has_alone(tmp_path: Path, recipe: Recipe) -> None:
    photos = [np.asarray(make_picture(number)) for number in range(2)]
    results = StepDreamer(tmp_path).dream_batch(photos, recipe, seeds=[5, 6])
    for number, result in enumerate(results):
        assert np.array_equal(result.pixels, dream(tmp_path, recipe, photo=number, seed=5 + number))


def test_each_step_has_a_frame_and_the_last_is_the_dream(tmp_path: Path, recipe: Recipe) -> None:
    frames: list[Frame] = []
    result = StepDreamer(tmp_path).dream(np.asarray(make_picture(0)), recipe, seed=0, on_frame=frames.append)
    assert [(frame.index, frame.fraction) for frame in frames] == [(0, 1 / 3), (1, 2 / 3), (2, 1.0)]
    assert np.array_equal(frames[-1].pixels, result.pixels)


def test_a_held_dream_emits_frames_until_it_is_released(tmp_path: Path, recipe: Recipe) -> None:
    frames: list[Frame] = []

    def release_after_three(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) == 3:
            release_dreams(tmp_path)

    held_recipe = recipe.model_copy(update={"name": HELD})
    StepDreamer(tmp_path).dream(np.asarray(make_picture(0)), held_recipe, seed=0, on_frame=release_after_three)
    assert len(frames) == 3 + 3
    assert [frame.fraction == 1 for frame in frames] == [False] * 5 + [True]


@pytest.mark.parametrize(("name", "error"), [(FAILING, ArtDreamError), (CRASHING, RuntimeError)])
def test_a_dream_fails_where_its_recipe_asks_for_it(
    name: str, error: type[Exception], tmp_path: Path, recipe: Recipe
) -> None:
    with pytest.raises(error):
        dream(tmp_path, recipe.model_copy(update={"name": name}))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_of_a_worker_with_this_dreamer_loads_tensorflow_or_jax(tmp_path: Path) -> None:
    """Fails with `artdream worker`, whose pool process has loaded it."""
    installation = FaultInstallation(tmp_path)
    try:
        worker = installation.start_worker()
        job = installation.submit(1)
        installation.wait_until(lambda: installation.is_ended(job))
        for process in worker.process_tree:
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            assert not [name for name in ("tensorflow", "jaxlib") if name in maps]
    finally:
        installation.close()
