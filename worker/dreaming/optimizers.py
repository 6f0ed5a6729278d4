"""The optimizers of gradient ascent. An optimizer depends on neither objective nor network, only on a gradient."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from keras import ops

from worker.backend import Shape, Tensor, compile_function

#: From parameters (batch, height, width, channels) to the values, (batch,), and the gradient.
GradientFn = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Called after every step with the new parameters, and the values before the step.
StepCallback = Callable[[Tensor, Tensor], None]

#: Decay of the means of gradient and squared gradient, and the term that keeps the division finite: the defaults of
#: Kingma and Ba, “Adam” (arXiv 1412.6980).
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

_BATCH_SPEC: tuple[Shape, str] = ((None, None, None, None), "float32")
_SCALAR_SPEC: tuple[Shape, str] = ((), "float32")


class Optimizer(Protocol):
    """An algorithm of gradient ascent."""

    def ascend(
        self,
        parameters: Tensor,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Tensor:
        """Take one step of each size, and return the final parameters.

        parameters: (batch, height, width, channels) float32 to start from. mask: (1 or batch, height, width, 1) float32
        in [0, 1], by which every step is multiplied. on_step: called after every step; an exception from it ends the
        ascent.
        """


class GradientAscent:
    """Steps along the unchanged gradient, which should be normalised. Pictures stay within [-1, 1]."""

    def __init__(self) -> None:
        def take_step(parameters: Tensor, gradient: Tensor, mask: Tensor, step_size: Tensor) -> Tensor:
            return ops.clip(parameters + step_size * mask * gradient, -1, 1)

        self._take_step = compile_function(take_step, input_specs=[_BATCH_SPEC, _BATCH_SPEC, _BATCH_SPEC, _SCALAR_SPEC])

    def ascend(
        self,
        parameters: Tensor,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Tensor:
        """Take one step of each size."""
        for step_size in step_sizes:
            values, gradient = gradient_fn(parameters)
            parameters = self._take_step(parameters, gradient, mask, np.float32(step_size))
            del gradient  # memory does not hold two gradients of a large picture
            on_step(parameters, values)
        return parameters


class Adam:
    """Adam (arXiv 1412.6980). Each step size is the learning rate of its step."""

    def __init__(self, *, bounded: bool) -> None:
        """Compile. bounded: whether the parameters are a picture, which stays within [-1, 1]."""

        def take_step(
            parameters: Tensor,
            gradient: Tensor,
            mean: Tensor,
            square: Tensor,
            mask: Tensor,
            step_size: Tensor,
            step_number: Tensor,
        ) -> tuple[Tensor, Tensor, Tensor]:
            mean = BETA1 * mean + (1 - BETA1) * gradient
            square = BETA2 * square + (1 - BETA2) * ops.square(gradient)
            unbiased = mean / (1 - BETA1**step_number), square / (1 - BETA2**step_number)
            parameters = parameters + step_size * mask * unbiased[0] / (ops.sqrt(unbiased[1]) + EPSILON)
            return ops.clip(parameters, -1, 1) if bounded else parameters, mean, square

        self._take_step = compile_function(
            take_step,
            input_specs=[_BATCH_SPEC, _BATCH_SPEC, _BATCH_SPEC, _BATCH_SPEC, _BATCH_SPEC, _SCALAR_SPEC, _SCALAR_SPEC],
        )

    def ascend(
        self,
        parameters: Tensor,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Tensor:
        """Take one step at each learning rate."""
        mean = square = ops.zeros_like(parameters)
        for step_number, step_size in enumerate(step_sizes, start=1):
            values, gradient = gradient_fn(parameters)
            parameters, mean, square = self._take_step(
                parameters, gradient, mean, square, mask, np.float32(step_size), np.float32(step_number)
            )
            del gradient
            on_step(parameters, values)
        return parameters
