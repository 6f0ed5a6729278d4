"""How a slope is climbed. An optimiser knows neither objective nor network, only which way is up."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from keras import ops

from worker.backend import Shape, Tensor, compiled

#: From parameters (batch, height, width, channels) to the value of each of the batch, (batch,), and the gradient.
Look = Callable[[Tensor], tuple[Tensor, Tensor]]

#: Told after every step: the parameters reached, and the values before the step.
Watch = Callable[[Tensor, Tensor], None]

#: Decay of the means of gradient and squared gradient, and what keeps the division finite: the defaults of
#: Kingma and Ba, “Adam” (arXiv 1412.6980).
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

_ANY: tuple[Shape, str] = ((None, None, None, None), "float32")
_NUMBER: tuple[Shape, str] = ((), "float32")


class Optimiser(Protocol):
    """A way to climb."""

    def climb(self, x: Tensor, look: Look, mask: Tensor, lengths: Sequence[float], watch: Watch) -> Tensor:
        """Climb from x with one step of each length, and return the parameters reached.

        mask: (1 or batch, height, width, 1) float32, 0 where nothing may change, 1 where everything may.
        """


class Gradient:
    """Steps along the gradient as it is; for slopes that are normalised. Pictures stay within [-1, 1]."""

    def __init__(self) -> None:
        def move(x: Tensor, gradient: Tensor, mask: Tensor, length: Tensor) -> Tensor:
            return ops.clip(x + length * mask * gradient, -1, 1)

        self._move = compiled(move, takes=[_ANY, _ANY, _ANY, _NUMBER])

    def climb(self, x: Tensor, look: Look, mask: Tensor, lengths: Sequence[float], watch: Watch) -> Tensor:
        """Take a step of each length."""
        for length in lengths:
            value, gradient = look(x)
            x = self._move(x, gradient, mask, np.float32(length))
            del gradient  # of a large picture no second one fits beside it while the next is found
            watch(x, value)
        return x


class Adam:
    """Adam (arXiv 1412.6980), each length being the learning rate of a step."""

    def __init__(self, *, bounded: bool) -> None:
        """Compile. bounded: the parameters are a picture, which stays within [-1, 1]."""

        def move(
            x: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, mask: Tensor, length: Tensor, count: Tensor
        ) -> tuple[Tensor, Tensor, Tensor]:
            mean = BETA1 * mean + (1 - BETA1) * gradient
            square = BETA2 * square + (1 - BETA2) * ops.square(gradient)
            unbiased = mean / (1 - BETA1**count), square / (1 - BETA2**count)
            x = x + length * mask * unbiased[0] / (ops.sqrt(unbiased[1]) + EPSILON)
            return ops.clip(x, -1, 1) if bounded else x, mean, square

        self._move = compiled(move, takes=[_ANY, _ANY, _ANY, _ANY, _ANY, _NUMBER, _NUMBER])

    def climb(self, x: Tensor, look: Look, mask: Tensor, lengths: Sequence[float], watch: Watch) -> Tensor:
        """Take a step at each learning rate."""
        mean = square = ops.zeros_like(x)
        for count, length in enumerate(lengths, start=1):
            value, gradient = look(x)
            x, mean, square = self._move(x, gradient, mean, square, mask, np.float32(length), np.float32(count))
            del gradient
            watch(x, value)
        return x
