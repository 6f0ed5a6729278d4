"""The JAX backend: XLA on a CPU or an accelerator, without TensorFlow."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import keras
from keras.src.utils.module_utils import tensorflow as lazy_tensorflow

from worker.backend.tracing import Shape, Tensor, record_traces

# If TensorFlow is installed, Keras imports it at the first layer, to check the configuration for TensorFlow types: 5 s
# and 300 MB for nothing. There is no public way to prevent that.
lazy_tensorflow._available = False


def compile_function(
    function: Callable[..., Any], *, input_specs: Sequence[tuple[Shape, str]], model: keras.Model | None = None
) -> Callable[..., Any]:
    """Compile a function of arrays, once for each combination of input shapes.

    input_specs: shape and dtype of each input; inputs are converted to the dtype. model: model whose weights the
    function reads; they are passed at every call. Otherwise JAX would embed them in every compiled program: for VGG-19,
    80 MB in each.
    """
    weights = model.variables if model is not None else []

    def call_stateless(values: list[Tensor], *arguments: Tensor) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(weights, values, strict=True))):
            return function(*arguments)

    program = jax.jit(record_traces(call_stateless))

    def call(*arguments: Tensor) -> Any:
        inputs = [jnp.asarray(argument, dtype) for argument, (_, dtype) in zip(arguments, input_specs, strict=True)]
        return program([weight.value for weight in weights], *inputs)

    return call


def distribution_scope() -> AbstractContextManager[Any]:
    """Return a context in which a new model trains on all accelerators, each with a part of every batch."""
    has_several_devices = len(jax.devices()) > 1
    return keras.distribution.DataParallel().scope() if has_several_devices else nullcontext()


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means that the memory of the machine or of an accelerator is exhausted."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and str(error).startswith("RESOURCE_EXHAUSTED")
    )


def value_and_gradient(function: Callable[..., Tensor], *parameters: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return function(*parameters), and the gradient of its sum with respect to each of them."""

    def sum_values(parameters: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        value = function(*parameters)
        return jnp.sum(value), value

    gradients, value = jax.grad(sum_values, has_aux=True)(parameters)
    return value, gradients


def resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """Resize (batch, height, width, channels) pictures bilinearly, with the results of tf.image.resize."""
    batch, _, _, channels = pictures.shape
    # Without JAX's default antialiasing, which averages pixels of a picture that becomes smaller.
    return jax.image.resize(pictures, (batch, height, width, channels), "linear", antialias=False)


def roll(pictures: Tensor, shifts: Tensor) -> Tensor:
    """Roll each of (batch, height, width, channels) pictures by its own shift: (batch, 2), in pixels down and right."""
    return jax.vmap(lambda picture, shift: jnp.roll(picture, shift, (0, 1)))(pictures, shifts)
