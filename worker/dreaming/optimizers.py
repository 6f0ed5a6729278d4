"""The optimizers of gradient ascent. An optimizer depends on neither objective nor network, only on a gradient."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from keras import ops

from worker.backend import Shape, Tensor, compile_function
from worker.dreaming.parameterization import Parameters

#: From parameters to the values, (batch,), and the gradients.
GradientFn = Callable[[Parameters], tuple[Tensor, Parameters]]

#: Called after every step with the new parameters, and the values before the step.
StepCallback = Callable[[Parameters, Tensor], None]

#: Decay of the mean of the gradient, and the term that keeps the division finite: the defaults of Kingma and Ba, “Adam”
#: (arXiv 1412.6980). That of the squared gradient is .999 there; a dream has tens of steps, not thousands.
BETA1, BETA2, EPSILON = 0.9, 0.99, 1e-8

_TENSOR_SPEC: tuple[Shape, str] = ((None, None, None, None), "float32")
_SCALAR_SPEC: tuple[Shape, str] = ((), "float32")


class Optimizer(Protocol):
    """An algorithm of gradient ascent."""

    def ascend(
        self,
        parameters: Parameters,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Parameters:
        """Take one step of each size, and return the final parameters.

        parameters: (batch, height, width, channels) float32 each, to start from. mask: by which every step is
        multiplied: (1, 1, 1, 1), or (1 or batch, height, width, 1), float32 in [0, 1]. on_step: called after every
        step; an exception from it ends the ascent.
        """


class GradientAscent:
    """Steps along the unchanged gradient, which should be normalised. Pictures stay within [-1, 1]."""

    def __init__(self) -> None:
        def take_step(parameters: Tensor, gradient: Tensor, mask: Tensor, step_size: Tensor) -> Tensor:
            return ops.clip(parameters + step_size * mask * gradient, -1, 1)

        self._take_step = compile_function(
            take_step, input_specs=[_TENSOR_SPEC, _TENSOR_SPEC, _TENSOR_SPEC, _SCALAR_SPEC]
        )

    def ascend(
        self,
        parameters: Parameters,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Parameters:
        """Take one step of each size."""
        for step_size in step_sizes:
            values, gradients = gradient_fn(parameters)
            parameters = tuple(
                self._take_step(parameter, gradient, mask, np.float32(step_size))
                for parameter, gradient in zip(parameters, gradients, strict=True)
            )
            del gradients  # memory does not hold two gradients of a large picture
            on_step(parameters, values)
        return parameters


class Adam:
    """Adam (arXiv 1412.6980). Each step size is the learning rate of its step."""

    def __init__(self, parameter_count: int, *, bounded: bool) -> None:
        """Compile.

        parameter_count: number of tensors that a step changes, in one call. bounded: whether they are a picture, which
        stays within [-1, 1].
        """

        def take_step(
            mask: Tensor, step_size: Tensor, step_number: Tensor, *tensors: Tensor
        ) -> tuple[Parameters, Parameters, Parameters]:
            columns = [tensors[start : start + parameter_count] for start in range(0, len(tensors), parameter_count)]
            steps = [move(mask, step_size, step_number, *row) for row in zip(*columns, strict=True)]
            parameters, means, squares = zip(*steps, strict=True)
            return parameters, means, squares

        def move(
            mask: Tensor,
            step_size: Tensor,
            step_number: Tensor,
            parameters: Tensor,
            gradient: Tensor,
            mean: Tensor,
            square: Tensor,
        ) -> tuple[Tensor, Tensor, Tensor]:
            mean = BETA1 * mean + (1 - BETA1) * gradient
            square = BETA2 * square + (1 - BETA2) * ops.square(gradient)
            unbiased = mean / (1 - BETA1**step_number), square / (1 - BETA2**step_number)
            parameters = parameters + step_size * mask * unbiased[0] / (ops.sqrt(unbiased[1]) + EPSILON)
            return ops.clip(parameters, -1, 1) if bounded else parameters, mean, square

        self._take_step = compile_function(
            take_step, input_specs=[_TENSOR_SPEC, *[_SCALAR_SPEC] * 2, *[_TENSOR_SPEC] * 4 * parameter_count]
        )

    def ascend(
        self,
        parameters: Parameters,
        gradient_fn: GradientFn,
        mask: Tensor,
        step_sizes: Sequence[float],
        on_step: StepCallback,
    ) -> Parameters:
        """Take one step at each learning rate."""
        means = squares = tuple(ops.zeros_like(parameter) for parameter in parameters)
        for step_number, step_size in enumerate(step_sizes, start=1):
            values, gradients = gradient_fn(parameters)
            parameters, means, squares = self._take_step(
                mask, np.float32(step_size), np.float32(step_number), *parameters, *gradients, *means, *squares
            )
            del gradients
            on_step(parameters, values)
        return parameters
