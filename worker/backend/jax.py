"""The seam on JAX: XLA on a CPU or an accelerator, without TensorFlow."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras.src.utils.module_utils import tensorflow as lazy_tensorflow

from worker.backend.tracing import Shape, Tensor, record_traces

# Where TensorFlow is installed, Keras imports it to ask whether what it writes into a configuration is of TensorFlow's
# types, at the first layer already: 5 s and 300 MB for nothing. There is no public way to tell it that nothing is.
lazy_tensorflow._available = False


def compile_function(
    function: Callable[..., Any], *, input_specs: Sequence[tuple[Shape, str]], model: keras.Model | None = None
) -> Callable[..., Any]:
    """Compile a function of arrays, once for each combination of shapes that it meets.

    The weights of `reads` are handed over at every call: JAX would write them into each of these programs, and the
    80 MB of VGG-19 into all.
    """
    weights = model.variables if model is not None else []

    def call_stateless(values: list[Tensor], *arguments: Tensor) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
            return function(*arguments)

    program = jax.jit(record_traces(call_stateless))

    def call(*arguments: Tensor) -> Any:
        given = [jnp.asarray(one, dtype) for one, (_, dtype) in zip(arguments, input_specs, strict=True)]
        return program([weight.value for weight in weights], *given)

    return call


def distribution_scope() -> AbstractContextManager[Any]:
    """Enter a context in which a model is made that learns on every accelerator, each taking a part of a batch."""
    many = len(jax.devices()) > 1
    return keras.distribution.DataParallel().scope() if many else nullcontext()


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that memory ran out, of the machine or of an accelerator."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED")
    )


def value_and_gradient(function: Callable[[Tensor], Tensor], picture: Tensor) -> tuple[Tensor, Tensor]:
    """Return function(picture), and the gradient of its sum with the shape of the picture."""

    def sum_values(picture: Tensor) -> tuple[Tensor, Tensor]:
        value = function(picture)
        return jnp.sum(value), value

    gradient, value = jax.grad(sum_values, has_aux=True)(picture)
    return value, gradient


def resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """Scale (batch, height, width, channels) pictures bilinearly, to what tf.image.resize makes of them."""
    batch, _, _, channels = pictures.shape
    # Without its usual antialiasing, which averages where a picture becomes smaller.
    return jax.image.resize(pictures, (batch, height, width, channels), "linear", antialias=False)


def roll(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Roll each of (batch, height, width, channels) pictures by its own (batch, 2) shifts, in pixels down and right."""
    return jax.vmap(lambda picture, shift: jnp.roll(picture, shift, (0, 1)))(pictures, shifts)
