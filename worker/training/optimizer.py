"""Adam with weight decay, for a network of which each layer learns at a rate of its own."""

from typing import Any

import keras

from worker.training.config import TrainingConfig

#: Layers that a backbone counts as.
REFERENCE_DEPTH = 18


class LayeredAdamW(keras.optimizers.AdamW):  # type: ignore[misc]
    """AdamW (Loshchilov and Hutter, arXiv 1711.05101) with a factor for the rate of each variable.

    It keeps the mean of the variables over about an epoch, which is better than where they happen to be at the end
    (Polyak and Juditsky, 1992).
    """

    def __init__(self, rate_factors: list[float], **settings: Any) -> None:
        super().__init__(use_ema=True, **settings)
        self._rate_factors = rate_factors

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Step with the variable's own rate."""
        factor = self._rate_factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)


def build_optimizer(model: keras.Model, config: TrainingConfig, steps_per_epoch: int) -> LayeredAdamW:
    """Return an optimiser for a model, whose last layer is its head, and freeze the layers that are not to learn.

    steps: of an epoch.
    """
    shares = compute_rate_factors(model, config.rate_decay)
    for layer in model.layers:
        layer.trainable = shares.get(layer.name, 0) >= config.frozen_below
    total = max(1, steps_per_epoch * config.epochs)
    rise = max(1, total // 20)
    schedule = keras.optimizers.schedules.CosineDecay(
        config.rate / 20, total - rise, alpha=0.01, warmup_target=config.rate, warmup_steps=rise
    )
    return LayeredAdamW(
        [shares[layer.name] for layer in model.layers for _ in layer.trainable_variables],
        learning_rate=schedule,
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
        ema_momentum=1 - 1 / max(10, steps_per_epoch),
    )


def compute_rate_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """Return the rate of each layer that has weights ÷ that of the head: 1 there, less by `decay` for each before it.

    Only full convolutions are counted; depthwise ones and normalisations belong to the next before them. However many
    there are, a backbone is as deep as eighteen layers: that is what the usual decays were found for.
    """
    depth, depths = 0, {}
    for layer in model.layers:
        if layer.weights:
            depth += type(layer) in (keras.layers.Conv2D, keras.layers.Dense)
            depths[layer.name] = depth
    return {name: decay ** ((depth - own) * REFERENCE_DEPTH / depth) for name, own in depths.items()}
