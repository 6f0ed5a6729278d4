"""The pictures that a network learns from are determined by the seed, and noisy if the plan says so."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.worker.training.paintings import paint
from worker.training.config import TrainingConfig
from worker.training.dataset import Painting
from worker.training.input_pipeline import Floats, TrainingBatches, ValidationBatches

SIDE, COUNT, NOISE = 64, 48, 0.2


def make_config(noise: float, seed: int = 0) -> TrainingConfig:
    return TrainingConfig.for_backbone("lite", side=SIDE, batch=COUNT, mixing=0.0, noise=noise, seed=seed)


@pytest.fixture(scope="module")
def gray_paintings(tmp_path_factory: pytest.TempPathFactory) -> list[Painting]:
    """Return paintings of one gray, in which nothing but noise differs from pixel to pixel."""
    path = tmp_path_factory.mktemp("gray") / "gray.png"
    Image.new("RGB", (SIDE, SIDE), (128, 128, 128)).save(path)
    return [Painting(path, 0)] * COUNT


def load_pictures(paintings: list[Painting], config: TrainingConfig, epoch: int = 0) -> Floats:
    return TrainingBatches(paintings, 1, config, epoch)[0][0]


def measure_neighbour_correlation(picture: Floats) -> float:
    """Return the correlation of horizontal neighbours: 0 for grain of one pixel, more for coarser grain."""
    deviation = picture - picture.mean(axis=(0, 1))
    return float((deviation[:, 1:] * deviation[:, :-1]).mean() / np.square(deviation).mean())


def test_without_noise_a_plain_picture_stays_plain(gray_paintings: list[Painting]) -> None:
    pictures = load_pictures(gray_paintings, make_config(0))
    assert pictures.shape == (COUNT, SIDE, SIDE, 3)
    assert pictures.std(axis=(1, 2)).max() < 1e-4


def test_each_picture_draws_its_own_noise_up_to_the_largest(gray_paintings: list[Painting]) -> None:
    pictures = load_pictures(gray_paintings, make_config(NOISE))
    deviations = pictures.std(axis=(1, 2)).mean(axis=-1)
    assert deviations.max() < NOISE * 1.02
    assert np.histogram(deviations, bins=4, range=(0, NOISE * 1.02))[0].min() >= COUNT / 16  # from none to the largest
    assert np.abs(pictures).max() <= 1
    assert pictures.dtype == np.float32


def test_each_picture_draws_its_own_grain_from_fine_to_coarse(gray_paintings: list[Painting]) -> None:
    pictures = load_pictures(gray_paintings, make_config(NOISE))
    correlations = [measure_neighbour_correlation(picture) for picture in pictures]
    assert min(correlations) < 0.2
    assert max(correlations) > 0.8


def test_the_seed_decides_the_noise(gray_paintings: list[Painting]) -> None:
    first = load_pictures(gray_paintings, make_config(NOISE))
    assert np.array_equal(first, load_pictures(gray_paintings, make_config(NOISE)))
    for other in (
        load_pictures(gray_paintings, make_config(NOISE, seed=1)),
        load_pictures(gray_paintings, make_config(NOISE), epoch=1),
    ):
        assert np.abs(first - other).max() > 0.05


def test_the_pictures_that_it_is_validated_with_have_no_noise(tmp_path: Path) -> None:
    paint("Anna Rot", 1, SIDE).save(tmp_path / "1.png")
    paintings = [Painting(tmp_path / "1.png", 0)]
    plain, noisy = (ValidationBatches(paintings, 1, make_config(noise))[0][0] for noise in (0, NOISE))
    assert np.array_equal(plain, noisy)
