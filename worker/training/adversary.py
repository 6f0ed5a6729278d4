"""Adversarial examples: the small changes of pictures that mislead a network most.

A network that learns to withstand them has gradients that a viewer can read, which is what dreams are made of
(Santurkar et al., “Image Synthesis with a Single (Robust) Classifier”, arXiv 1906.09453).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from worker.backend import Shape, Tensor, compile_function, value_and_gradient
from worker.training.config import TrainingConfig
from worker.training.input_pipeline import Floats, ValidationBatches

#: Length of a single step ÷ the radius (Wong et al., arXiv 2001.03994), and of all of several steps ÷ the radius
#: (Madry et al., arXiv 1706.06083): long enough to cross the ball from any start.
SINGLE_STEP_LENGTH, TOTAL_STEP_LENGTH = 1.25, 2.5

#: Keeps the direction of a gradient that is 0 finite.
NORM_EPSILON = 1e-12

_PICTURES_SPEC: tuple[Shape, str] = ((None, None, None, 3), "float32")
_SHARES_SPEC: tuple[Shape, str] = ((None, None), "float32")
_SCALAR_SPEC: tuple[Shape, str] = ((), "float32")


class Adversary:
    """Attacks a model by projected gradient ascent of its loss, from a random start in the ball (L2)."""

    def __init__(self, model: keras.Model) -> None:
        """Compile. model: pictures (batch, side, side, 3) in [-1, 1] → logits (batch, artists)."""

        def take_step(pictures: Tensor, change: Tensor, shares: Tensor, radius: Tensor, length: Tensor) -> Tensor:
            def loss(attacked: Tensor) -> Tensor:
                logits = ops.cast(model(attacked, training=False), "float32")
                return ops.categorical_crossentropy(shares, logits, from_logits=True)

            _, (gradient,) = value_and_gradient(loss, pictures + change)
            change = change + length * gradient / (_norm(gradient) + NORM_EPSILON)
            change = change * ops.minimum(1.0, radius / (_norm(change) + NORM_EPSILON))
            return ops.clip(pictures + change, -1, 1) - pictures

        self._take_step: Callable[..., Tensor] = compile_function(
            take_step,
            input_specs=[_PICTURES_SPEC, _PICTURES_SPEC, _SHARES_SPEC, _SCALAR_SPEC, _SCALAR_SPEC],
            model=model,
        )

    def attack(self, pictures: Floats, shares: Floats, epsilon: float, steps: int, rng: np.random.Generator) -> Floats:
        """Return the pictures, changed for the worse.

        pictures: (batch, side, side, 3) float32 in [-1, 1]. shares: (batch, artists), the true artists, one-hot or
        mixed. epsilon: L2 norm of the change of each picture, for pictures in [0, 1]. steps: more of them find worse
        changes.
        """
        radius = np.float32(2 * epsilon)  # of pictures in [-1, 1]
        length = np.float32(radius * (SINGLE_STEP_LENGTH if steps == 1 else TOTAL_STEP_LENGTH / steps))
        direction = rng.standard_normal(pictures.shape, np.float32)
        distance = rng.random((len(pictures), 1, 1, 1), np.float32)
        change: Any = radius * distance * direction / np.sqrt(np.square(direction).sum(axis=(1, 2, 3), keepdims=True))
        change = np.clip(pictures + change, -1, 1) - pictures
        for _ in range(steps):
            change = self._take_step(pictures, change, shares, radius, length)
        attacked: Floats = np.clip(pictures + np.asarray(change), -1, 1)
        return attacked


class AttackedEvaluation(NamedTuple):
    """How well a model classifies paintings, as they are and under attack."""

    accuracy: float
    attacked_accuracy: float
    attacked_loss: float


def evaluate_attacked(
    model: keras.Model,
    adversary: Adversary,
    batches: ValidationBatches,
    config: TrainingConfig,
    steps: int,
) -> AttackedEvaluation:
    """Evaluate a model on the paintings in some batches, as they are and against the attack of a configuration.

    steps: of the attack. The same arguments give the same result, up to rounding.
    """
    rng = np.random.default_rng(config.seed)
    is_correct, is_correct_attacked, losses = [], [], []
    for pictures, shares in (batches[index] for index in range(len(batches))):
        attacked_logits = model.predict_on_batch(adversary.attack(pictures, shares, config.epsilon, steps, rng))
        is_correct += (model.predict_on_batch(pictures).argmax(axis=1) == shares.argmax(axis=1)).tolist()
        is_correct_attacked += (attacked_logits.argmax(axis=1) == shares.argmax(axis=1)).tolist()
        losses += np.asarray(ops.categorical_crossentropy(shares, attacked_logits, from_logits=True)).tolist()
    return AttackedEvaluation(*(float(np.mean(values)) for values in (is_correct, is_correct_attacked, losses)))


def _norm(pictures: Tensor) -> Tensor:
    return ops.sqrt(ops.sum(ops.square(pictures), axis=(1, 2, 3), keepdims=True))
