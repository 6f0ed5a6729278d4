"""The TensorFlow backend.

It compiles to graphs, not to XLA, which is slower on a CPU (a step of InceptionV3: 0.21 s against 0.13 s, measured on
two cores).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from worker.backend.tracing import Shape, Tensor, record_traces

# TensorFlow warns of repeated retracing, but counts all functions that one line of code creates as one function.
tf.get_logger().setLevel("ERROR")


def compile_function(
    function: Callable[..., Any],
    *,
    input_specs: Sequence[tuple[Shape, str]],
    model: keras.Model | None = None,  # noqa: ARG001 - a graph refers to its variables by itself
) -> Callable[..., Any]:
    """Compile a function of arrays, once for all shapes that match its specs.

    input_specs: shape and dtype of each input. On a CPU, a step of `lite` at 640 × 480 takes 36.5 ms with a dynamic
    picture shape and 35.8 ms with a fixed one, while each further trace costs 0.3 to 0.6 s.
    """
    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in input_specs]
    return tf.function(  # type: ignore[no-any-return]
        record_traces(function), input_signature=signature, autograph=False, jit_compile=False
    )


def distribution_scope() -> AbstractContextManager[Any]:
    """Return a context in which a new model trains on all accelerators, each with a part of every batch."""
    has_several_devices = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy().scope() if has_several_devices else nullcontext()


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that the memory of the machine or of an accelerator is exhausted."""
    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))


def value_and_gradient(function: Callable[..., Tensor], *parameters: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return function(*parameters), and the gradient of its sum with respect to each of them."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(parameters)
        value = function(*parameters)
    return value, tape.gradient(value, parameters, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def resize(pictures: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resize (batch, height, width, channels) pictures bilinearly. height, width: may be tensors of the graph."""
    return tf.image.resize(pictures, (height, width))


def roll(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Roll each of (batch, height, width, channels) pictures by its own shift: (batch, 2), in pixels down and right."""

    def roll_one() -> Tensor:
        return tf.roll(pictures, shifts[0], (1, 2))

    def roll_each() -> Tensor:
        return tf.map_fn(
            lambda pair: tf.roll(pair[0], pair[1], (0, 1)), (pictures, shifts), fn_output_signature=tf.float32
        )

    # A loop takes half as long again, even with a single iteration.
    return tf.cond(tf.shape(pictures)[0] == 1, roll_one, roll_each)
