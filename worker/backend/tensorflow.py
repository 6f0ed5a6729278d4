"""The seam on TensorFlow.

On a CPU it compiles to a graph and not to XLA, which is slower there (a step of InceptionV3: 0.21 s against 0.13 s,
measured on two cores).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras
import tensorflow as tf

from worker.backend.tracing import Shape, Tensor, record_traces

# It warns of functions that are traced again and again, but counts those of one place in the code as one.
tf.get_logger().setLevel("ERROR")


def compile_function(
    function: Callable[..., Any],
    *,
    input_specs: Sequence[tuple[Shape, str]],
    model: keras.Model | None = None,  # noqa: ARG001 - a graph refers to its variables by itself
) -> Callable[..., Any]:
    """Compile a function of arrays; once, for every shape that fits.

    On a CPU, with the shape of the picture left open, a step of `lite` at 640 × 480 takes 36.5 ms and with it fixed
    35.8 ms, while each further trace costs 0.3 to 0.6 s.
    """
    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in input_specs]
    return tf.function(  # type: ignore[no-any-return]
        record_traces(function), input_signature=signature, autograph=False, jit_compile=False
    )


def distribution_scope() -> AbstractContextManager[Any]:
    """Enter a context in which a model is made that learns on every accelerator, each taking a part of a batch."""
    many = len(tf.config.list_logical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy().scope() if many else nullcontext()


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory ran out, of the machine or of an accelerator."""
    return isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError))


def value_and_gradient(function: Callable[[Tensor], Tensor], picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return function(picture), and the gradient of its sum with the shape of the picture."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(picture)
        value = function(picture)
    return value, tape.gradient(value, picture, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def resize(pictures: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Scale (batch, height, width, channels) pictures bilinearly. Sizes may be numbers that only the graph knows."""
    return tf.image.resize(pictures, (height, width))


def roll(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Roll each of (batch, height, width, channels) pictures by its own (batch, 2) shifts, in pixels down and right."""

    def roll_one() -> Tensor:
        return tf.roll(pictures, shifts[0], (1, 2))

    def roll_each() -> Tensor:
        return tf.map_fn(
            lambda one: tf.roll(one[0], one[1], (0, 1)), (pictures, shifts), fn_output_signature=tf.float32
        )

    return tf.cond(
        tf.shape(pictures)[0] == 1, roll_one, roll_each
    )  # a loop, even of one turn, takes half as long again
