"""An attack finds the change that misleads a network most, within its limit."""

import keras
import numpy as np
import pytest

from worker.training.adversary import Adversary

EPSILON = 0.5


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    picture = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 5, activation="relu")(picture)
    return keras.Model(picture, keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x)))


def make_batch() -> tuple[np.ndarray, np.ndarray]:
    pictures = np.random.default_rng(0).uniform(-0.8, 0.8, (6, 32, 32, 3)).astype(np.float32)
    return pictures, np.eye(4, dtype=np.float32)[np.arange(6) % 4]


def compute_losses(model: keras.Model, pictures: np.ndarray, shares: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.categorical_crossentropy(shares, model(pictures), from_logits=True))


@pytest.mark.parametrize("steps", [1, 5])
def test_the_change_stays_within_the_limit_and_the_range_of_pictures(model: keras.Model, steps: int) -> None:
    pictures, shares = make_batch()
    attacked = Adversary(model).attack(pictures, shares, EPSILON, steps, np.random.default_rng(1))
    norms = np.sqrt(np.square((attacked - pictures) / 2).sum(axis=(1, 2, 3)))
    assert norms.max() <= EPSILON * 1.001
    assert norms.min() > EPSILON * 0.9
    assert np.abs(attacked).max() <= 1


def test_an_attack_raises_the_loss_of_each_picture_more_than_noise_and_more_steps_raise_it_further(
    model: keras.Model,
) -> None:
    pictures, shares = make_batch()
    adversary = Adversary(model)
    once, often = (adversary.attack(pictures, shares, EPSILON, steps, np.random.default_rng(1)) for steps in (1, 10))
    noise = np.random.default_rng(2).standard_normal(pictures.shape).astype(np.float32)
    noise *= 2 * EPSILON / np.sqrt(np.square(noise).sum(axis=(1, 2, 3), keepdims=True))
    clean, noisy, attacked, attacked_often = (
        compute_losses(model, batch, shares) for batch in (pictures, pictures + noise, once, often)
    )
    assert (attacked - clean > 3 * np.abs(noisy - clean)).all()
    assert attacked_often.sum() > attacked.sum()


def test_the_same_seed_finds_the_same_change(model: keras.Model) -> None:
    pictures, shares = make_batch()
    one, other = (Adversary(model).attack(pictures, shares, EPSILON, 2, np.random.default_rng(3)) for _ in range(2))
    assert np.allclose(one, other, atol=1e-6)
