"""The learning rate rises and then decays, however short the training."""

import keras
import pytest

from worker.training.config import TrainingConfig
from worker.training.optimizer import LayeredAdamW, build_optimizer


def learning_rate(optimizer: LayeredAdamW, step: int) -> float:
    optimizer.iterations.assign(step)
    return float(optimizer.learning_rate)


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(0, 5), (1, 1), (1, 2), (4, 25)])
def test_every_training_has_a_peak_and_an_end(epochs: int, steps_per_epoch: int) -> None:
    """Without epochs only the head is trained, by another optimizer, but this one is built all the same."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    config = TrainingConfig.for_backbone("lite", epochs=epochs, rate=0.1)
    optimizer = build_optimizer(model, config, steps_per_epoch)
    steps = max(2, epochs * steps_per_epoch)
    rates = [learning_rate(optimizer, step) for step in range(steps + 1)]
    peak = max(1, steps // 20)
    assert rates[0] == pytest.approx(0.005)
    assert rates[peak] == max(rates) == pytest.approx(0.1)
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0.001)
