"""Adam with weight decay, and a learning rate for each layer."""

from typing import Any

import keras

from worker.training.config import TrainingConfig

#: Number of layers that every backbone counts as, for the decay of learning rates.
REFERENCE_DEPTH = 18


class LayeredAdamW(keras.optimizers.Adam):  # type: ignore[misc]
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with a factor for the learning rate of each variable.

    It keeps a moving average of the variables over about an epoch, which performs better than their last values (Polyak
    and Juditsky, 1992).
    """

    def __init__(self, rate_factors: list[float], decay: float, **settings: Any) -> None:
        """rate_factors: one for each trainable variable. decay: weight decay, a share of the learning rate."""
        super().__init__(use_ema=True, **settings)
        self._rate_factors, self._decay = rate_factors, decay

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update a variable, and let it decay, with the variable's own learning rate."""
        rate = learning_rate * self._rate_factors[self._get_variable_index(variable)]
        self.assign_sub(variable, keras.ops.multiply(variable, keras.ops.cast(rate * self._decay, variable.dtype)))
        super().update_step(gradient, variable, rate)

    def finalize_variable_values(self, var_list: Any) -> None:
        """Leave the variables as they are. Keras replaces them with their average when `fit` ends: here, each epoch."""


def build_optimizer(model: keras.Model, config: TrainingConfig, steps_per_epoch: int) -> LayeredAdamW:
    """Return an optimizer for a model whose last layer is its head, and freeze layers whose learning rate is too low.

    steps_per_epoch: batches of an epoch.
    """
    factors = compute_rate_factors(model, config.rate_decay)
    for layer in model.layers:
        layer.trainable = factors.get(layer.name, 0) >= config.frozen_below
    total_steps = max(2, steps_per_epoch * config.epochs)  # Keras needs at least a step of warm-up and one of decay
    warmup_steps = max(1, total_steps // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.rate / 20, total_steps - warmup_steps, alpha=0.01, warmup_target=config.rate, warmup_steps=warmup_steps
    )
    return LayeredAdamW(
        [factors[layer.name] for layer in model.layers for _ in layer.trainable_variables],
        config.weight_decay,
        learning_rate=schedule,
        global_clipnorm=1.0,
        ema_momentum=1 - 1 / max(10, steps_per_epoch),
    )


def compute_rate_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Return the learning rate of each layer with weights ÷ that of the head: 1 for the head, less before it.

    decay: factor from one layer to the layer before. Only full convolutions and dense layers are counted; depthwise
    convolutions and normalizations share the factor of the counted layer before them. The depth is scaled to eighteen
    layers, for which the usual decays were found.
    """
    depth, depths = 0, {}
    for layer in model.layers:
        if layer.weights:
            depth += type(layer) in (keras.layers.Conv2D, keras.layers.Dense)
            depths[layer.name] = depth
    return {name: decay ** ((depth - layer_depth) * REFERENCE_DEPTH / depth) for name, layer_depth in depths.items()}
