"""Colours and grain are measured as the eye does: by area and fineness, not by place."""

import numpy as np
import pytest
from keras import ops

from worker.dreaming.style_measures import GRAIN_BANDS, grain, palette, palette_distance, to_lab
from worker.networks.network import to_picture


def make_blocks(colors: list[tuple[int, int, int]], seed: int) -> np.ndarray:
    """Return a picture (1, 128, 128, 3) of squares of 16 px, each colour equally often, in random order."""
    order = np.random.default_rng(seed).permutation(np.arange(64) % len(colors)).reshape(8, 8)
    return to_picture(np.kron(np.array(colors, np.uint8)[order], np.ones((16, 16, 1), np.uint8)))


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((128, 128, 128), (53.59, 0, 0)),
    ],
)
def test_lab_is_that_of_the_standard(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    pixels = to_picture(np.array([[rgb]], np.uint8))
    assert np.asarray(to_lab(pixels))[0, 0, 0] * 100 == pytest.approx(lab, abs=0.1)


def test_a_palette_does_not_ask_where_a_colour_is() -> None:
    colors = [(200, 40, 30), (30, 60, 200), (240, 230, 90), (20, 20, 20)]
    palettes = palette(make_blocks(colors, 1))
    assert float(palette_distance(make_blocks(colors, 2), palettes)[0]) < 3e-3
    assert float(palette_distance(make_blocks(colors[:2], 2), palettes)[0]) > 0.02


def test_a_palette_of_another_size_is_compared_too() -> None:
    colors = [(200, 40, 30), (30, 60, 200)]
    small, large = make_blocks(colors, 1), np.repeat(np.repeat(make_blocks(colors, 2), 3, axis=1), 2, axis=2)
    assert float(palette_distance(large, palette(small, square=4))[0]) < 3e-3


def test_each_picture_of_a_batch_has_its_own_distance() -> None:
    red, blue = make_blocks([(200, 40, 30)], 1), make_blocks([(30, 60, 200)], 1)
    distances = np.asarray(palette_distance(np.concatenate([red, blue]), palette(red)))
    assert distances[0] < 1e-6 < 0.05 < distances[1]


@pytest.mark.parametrize("period", [1, 2, 4, 8])
def test_the_power_of_a_chessboard_lies_in_the_octave_of_its_squares(period: int) -> None:
    y, x = np.mgrid[0:128, 0:128]
    board = np.where((y // period + x // period) % 2, 0.5, -0.5).astype(np.float32)
    powers = 10 ** np.asarray(grain(np.repeat(board[None, ..., None], 3, axis=-1)))[0]
    assert len(powers) == GRAIN_BANDS
    assert powers.argmax() == np.log2(period)
    assert powers.max() == pytest.approx(0.25, rel=0.01)


def test_an_even_picture_has_a_finite_grain() -> None:
    assert np.isfinite(np.asarray(grain(ops.zeros((1, 64, 64, 3))))).all()
