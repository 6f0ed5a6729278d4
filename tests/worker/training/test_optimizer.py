"""The learning rate rises and then decays, however short the training, and each layer has its own."""

import keras
import numpy as np
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


def test_a_layer_that_learns_less_decays_less() -> None:
    """Seen failing with the decay of Keras, which is the same for all layers."""
    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
    optimizer = LayeredAdamW([1.0, 0.25], 0.5, learning_rate=0.1)
    optimizer.apply([keras.ops.zeros(3)] * 2, variables)
    assert [float(1 - keras.ops.mean(variable)) for variable in variables] == pytest.approx([0.05, 0.0125])


def test_an_epoch_ends_with_the_weights_that_it_reached_and_their_average_beside_them() -> None:
    """Seen failing with Keras's own: each `fit` ended with the average, so each epoch lost most of its progress."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(LayeredAdamW([1.0] * 2, 0.0, learning_rate=0.1, ema_momentum=0.9), "mse")
    model.fit(np.ones((64, 2), np.float32), np.full((64, 1), 9.0, np.float32), batch_size=8, verbose=0)
    [average, _] = model.optimizer._model_variables_moving_average
    kernel = model.trainable_variables[0]
    assert float(keras.ops.mean(kernel - average)) > 0.1
