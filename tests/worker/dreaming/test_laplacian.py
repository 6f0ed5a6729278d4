"""The normalized gradient has every scale at similar strength, whatever the gradient was."""

import numpy as np
import pytest
from numpy.typing import NDArray

from worker.dreaming.laplacian import normalize_levels


def rms(values: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def make_waves(period: int, strength: float, *, side: int = 128) -> NDArray[np.float32]:
    x = np.arange(side)
    wave = np.sin(2 * np.pi * x / period) * np.sin(2 * np.pi * x / period)[:, None]
    return (strength * wave[None, :, :, None]).repeat(3, axis=3).astype(np.float32)


def measure_waves(picture: NDArray[np.float32], period: int) -> float:
    """Return how strongly a picture contains the waves of a period, as a factor of `make_waves(period, 1)`."""
    pattern = make_waves(period, 1)
    return float(np.sum(picture * pattern) / np.sum(pattern * pattern))


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1, 1e6])
def test_a_gradient_of_any_strength_becomes_a_step_of_one_length(scale: float) -> None:
    noise = np.random.default_rng(1).normal(size=(1, 96, 128, 3)).astype(np.float32)
    assert rms(np.asarray(normalize_levels(noise * np.float32(scale), 3))) == pytest.approx(0.8, rel=0.02)


def test_faint_large_shapes_are_raised_to_the_fine_texture() -> None:
    gradient = make_waves(4, 1.0) + make_waves(64, 0.01)
    result = np.asarray(normalize_levels(gradient, 3))
    assert measure_waves(gradient, 64) / measure_waves(gradient, 4) == pytest.approx(0.01, rel=0.05)
    assert measure_waves(result, 64) / measure_waves(result, 4) > 0.3


def test_without_levels_the_gradient_keeps_its_shape() -> None:
    gradient = make_waves(4, 1.0) + make_waves(64, 0.01)
    np.testing.assert_allclose(
        np.asarray(normalize_levels(gradient, 0)), gradient / rms(gradient), rtol=1e-4, atol=1e-5
    )


def test_each_picture_of_a_batch_is_normalised_by_itself() -> None:
    strong, weak = make_waves(4, 5.0), make_waves(32, 0.001)
    both = np.asarray(normalize_levels(np.concatenate([strong, weak]), 3))
    np.testing.assert_allclose(both[:1], np.asarray(normalize_levels(strong, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(both[1:], np.asarray(normalize_levels(weak, 3)), rtol=1e-4, atol=1e-5)


def test_no_gradient_stays_none() -> None:
    assert not np.asarray(normalize_levels(np.zeros((1, 64, 64, 3), np.float32), 3)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 70), (33, 51)])
def test_odd_sizes_are_normalised_too(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).normal(size=(1, *shape, 3)).astype(np.float32)
    result = np.asarray(normalize_levels(noise, 6))
    assert result.shape == noise.shape
    assert np.isfinite(result).all()
