"""The Kuwahara filter turns detail into even dabs, and leaves edges crisp and colours what they are."""

import numpy as np
import pytest

from shared.recipe.canvas import list_canvases
from tests.worker.dreaming.test_engine import make_landscape
from worker.backend import count_traces
from worker.dreamer import Pixels
from worker.dreaming.kuwahara import BAND_COLUMNS, BAND_ROWS, _compile_filter, apply_kuwahara_filter


def make_noise(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(96, 160, (height, width, 3)).astype(np.uint8)


def make_step(height: int, width: int) -> Pixels:
    """Return a picture that is dark on the left and light on the right, with a fine grain."""
    grain = np.random.default_rng(0).integers(-8, 9, (height, width, 1))
    step = np.where(np.arange(width) < width // 2, 60, 190)[None, :, None]
    return np.repeat(step + grain, 3, axis=2).astype(np.uint8)


def test_grain_becomes_even() -> None:
    photo = make_noise(120, 160)
    assert apply_kuwahara_filter(photo, 4).std() < 0.3 * photo.std()


def test_an_edge_stays_where_it_was_and_crisp() -> None:
    filtered = apply_kuwahara_filter(make_step(80, 100), 4)[10:-10]
    assert np.abs(filtered[:, :48].astype(int) - 60).max() < 20
    assert np.abs(filtered[:, 52:].astype(int) - 190).max() < 20


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (BAND_ROWS, 40), (2 * BAND_ROWS + 1, 64)])
def test_a_picture_of_any_size_keeps_it(size: tuple[int, int]) -> None:
    even = np.full((*size, 3), (200, 30, 99), np.uint8)
    assert np.array_equal(apply_kuwahara_filter(even, 4), even)


def test_no_seam_shows_where_bands_of_rows_meet() -> None:
    picture = make_landscape(64, 2 * BAND_ROWS)
    filtered = apply_kuwahara_filter(picture, 3)
    start = BAND_ROWS - 100
    middle = apply_kuwahara_filter(picture[start : start + 200], 3)
    assert np.array_equal(filtered[start + 20 : start + 180], middle[20:180])


def test_a_picture_on_its_side_is_filtered_alike() -> None:
    picture = make_landscape(96, 64)
    turned = apply_kuwahara_filter(picture.transpose(1, 0, 2), 4).transpose(1, 0, 2)
    assert np.abs(turned.astype(int) - apply_kuwahara_filter(picture, 4)).max() <= 1


def test_a_radius_of_less_than_a_pixel_changes_nothing() -> None:
    photo = make_noise(30, 40)
    assert np.array_equal(apply_kuwahara_filter(photo, 0.9), photo)


@pytest.mark.parametrize("size", [(30, 40), (BAND_ROWS + 1, 70), (90, BAND_COLUMNS), (300, 401), (1, 3)])
@pytest.mark.parametrize("radius", [1.2, 5, 13.8])
def test_that_a_picture_is_filtered_at_a_few_sizes_changes_no_pixel(size: tuple[int, int], radius: float) -> None:
    photo = make_noise(*size)
    margin, filter_whole = _compile_filter(radius)
    whole = filter_whole(np.pad(photo, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric"))
    assert np.array_equal(apply_kuwahara_filter(photo, radius), np.asarray(whole))


def test_the_next_picture_of_another_size_compiles_nothing() -> None:
    apply_kuwahara_filter(make_noise(30, 40), 5)
    before = count_traces()
    apply_kuwahara_filter(make_noise(31, 57), 5)
    assert count_traces() == before


def test_after_the_pictures_of_the_warm_canvases_one_of_any_aspect_compiles_nothing() -> None:
    """Seen failing with JAX: each photo of another aspect waited for the filter, with its dream finished."""
    for canvas in list_canvases(512):
        apply_kuwahara_filter(make_noise(canvas.height, canvas.width), 2.3)
    before = count_traces()
    for short_side in (288, 300, 341, 384, 410, 512):  # from 16:9 on
        apply_kuwahara_filter(make_noise(512, short_side), 2.3)
        apply_kuwahara_filter(make_noise(short_side, 512), 2.3)
    assert count_traces() == before
