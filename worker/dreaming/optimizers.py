"""How a slope is climbed. An optimiser knows neither objective nor network, only which way is up."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from keras import ops

from worker.backend import Shape, Tensor, compile_function

#: From parameters (batch, height, width, channels) to the value of each of the batch, (batch,), and the gradient.
GradientFn = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Told after every step: the parameters reached, and the values before the step.
StepCallback = Callable[[Tensor, Tensor], None]

#: Decay of the means of gradient and squared gradient, and what keeps the division finite: the defaults of
#: Kingma and Ba, “Adam” (arXiv 1412.6980).
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

_BATCH_SPEC: tuple[Shape, str] = ((None, None, None, None), "float32")
_SCALAR_SPEC: tuple[Shape, str] = ((), "float32")


class Optimizer(Protocol):
    """A way to climb."""

    def ascend(
        self,
        parameters: Tensor,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Tensor:
        """Climb from x with one step of each length, and return the parameters reached.

        mask: (1 or batch, height, width, 1) float32, 0 where nothing may change, 1 where everything may.
        """


class GradientAscent:
    """Steps along the gradient as it is; for slopes that are normalised. Pictures stay within [-1, 1]."""

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
        """Take a step of each length."""
        for length in step_sizes:
            value, gradient = gradient_fn(parameters)
            parameters = self._take_step(parameters, gradient, mask, np.float32(length))
            del gradient  # of a large picture no second one fits beside it while the next is found
            on_step(parameters, value)
        return parameters


class Adam:
    """Adam (arXiv 1412.6980), each length being the learning rate of a step."""

    def __init__(self, *, bounded: bool) -> None:
        """Compile. bounded: the parameters are a picture, which stays within [-1, 1]."""

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
        """Take a step at each learning rate."""
        mean = square = ops.zeros_like(parameters)
        for count, length in enumerate(step_sizes, start=1):
            value, gradient = gradient_fn(parameters)
            parameters, mean, square = self._take_step(
                parameters, gradient, mean, square, mask, np.float32(length), np.float32(count)
            )
            del gradient
            on_step(parameters, value)
        return parameters
