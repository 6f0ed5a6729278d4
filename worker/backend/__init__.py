"""The backend: the functions that TensorFlow and JAX implement differently. Everything else uses Keras ops.

Keras has no gradient, no resize to a dynamic size and no roll by dynamic shifts, so only these few functions depend on
the library. KERAS_BACKEND selects it: tensorflow or jax. The other one is not imported.
"""

import keras

from shared.errors import ArtDreamError
from worker.backend.tracing import Shape, Tensor, count_traces

match keras.backend.backend():
    case "tensorflow":
        from worker.backend.tensorflow import (
            compile_function,
            distribution_scope,
            is_out_of_memory,
            resize,
            roll,
            value_and_gradient,
        )
    case "jax":
        from worker.backend.jax import (
            compile_function,
            distribution_scope,
            is_out_of_memory,
            resize,
            roll,
            value_and_gradient,
        )
    case other:
        raise ArtDreamError(f"KERAS_BACKEND={other} is not supported: say tensorflow, or jax.")

__all__ = [
    "Shape",
    "Tensor",
    "compile_function",
    "count_traces",
    "distribution_scope",
    "is_out_of_memory",
    "resize",
    "roll",
    "value_and_gradient",
]
