"""The worker: claims jobs, dreams their photos and publishes the dreams.

Only its pool processes import TensorFlow or JAX.
"""

import os
from importlib.util import find_spec

from shared.errors import ArtDreamError

#: What JAX needs on NVIDIA GPUs, by the version of CUDA.
_CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")

# Keras would choose TensorFlow, whose wheels have no CUDA.
if not os.environ.get("KERAS_BACKEND") and any(map(find_spec, _CUDA_PLUGINS)):
    os.environ["KERAS_BACKEND"] = "jax"

# Checked before anything imports Keras, which would report it with a traceback.
match os.environ.get("KERAS_BACKEND", ""):
    case "" | "tensorflow":
        pass
    case "jax":
        if find_spec("jax") is None:
            raise ArtDreamError("KERAS_BACKEND=jax needs JAX, which is not installed here: install `artdream[jax]`.")
    case other:
        raise ArtDreamError(f"KERAS_BACKEND={other} is not supported: say tensorflow, or jax.")
