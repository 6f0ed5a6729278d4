"""The seam to the computing library: gradients and compilation. Everything else is written in Keras ops.

Keras offers no gradient of its own, resizes no picture of open size and rolls none by numbers of its own, so these few
functions are all that differs between libraries. Which one it is, KERAS_BACKEND says: tensorflow, or jax. What is not
chosen is not imported.
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
