"""The seam to the computing library: gradients and compilation. Everything else is written in Keras ops.

Keras offers no gradient of its own and resizes no picture of open size, so the three functions at the end are all that
differs between libraries. Now: TensorFlow. On a CPU it compiles to a graph and not to XLA, which is slower there (a
step of InceptionV3: 0.21 s against 0.13 s, measured on two cores).
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import keras

from shared.errors import ArtDreamError

if keras.backend.backend() != "tensorflow":
    raise ArtDreamError(f"KERAS_BACKEND={keras.backend.backend()} is not supported: unset it, or say tensorflow.")

import tensorflow as tf

#: Something of the library's own array type; Keras knows no name for it.
Tensor = Any

#: Sides of an array; None stands for any.
Shape = tuple[int | None, ...]

_traces = 0


def traces() -> int:
    """Count the functions traced since the process began. While it stands still, nothing is compiled."""
    return _traces


def compiled(function: Callable[..., Any], *, takes: Sequence[tuple[Shape, str]]) -> Callable[..., Any]:
    """Compile a function of arrays.

    takes: shape and dtype of each argument. One trace serves every shape that fits: on a CPU, with the shape of the
    picture left open, a step of `lite` at 640 × 480 takes 36.5 ms and with it fixed 35.8 ms, while each further trace
    costs 0.3 to 0.6 s. A library that compiles per shape does so inside what it returns.
    """

    @wraps(function)
    def counted(*arguments: Tensor) -> Any:
        global _traces
        _traces += 1
        return function(*arguments)

    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in takes]
    return tf.function(counted, input_signature=signature, autograph=False, jit_compile=False)  # type: ignore[no-any-return]


def value_and_gradient(function: Callable[[Tensor], Tensor], picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return function(picture), and the gradient of its sum with the shape of the picture."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(picture)
        value = function(picture)
    return value, tape.gradient(value, picture, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def resized(pictures: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Scale (batch, height, width, channels) pictures bilinearly. Sizes may be numbers that only the graph knows."""
    return tf.image.resize(pictures, (height, width))
