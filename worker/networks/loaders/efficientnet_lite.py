"""`lite` and `lite2`: EfficientNet-Lite0, the network that every worker has, and the larger EfficientNet-Lite2.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from worker.networks.class_names import imagenet_classes
from worker.networks.loaders.lite_variants import LITE_VARIANTS, LiteVariant
from worker.networks.loaders.torch_file import parse_tensors
from worker.networks.network import Network
from worker.networks.transform.batch_norm_folding import fold_batch_norms
from worker.networks.transform.class_map import CLASS_MAP, LOGITS

#: Added to the variance of each batch normalization, as in TensorFlow's EfficientNets; PyTorch's default is 1e-5.
BATCH_NORM_EPSILON = 1e-3

#: Of each group of blocks of `lite`: repeats, kernel side, stride, expansion, channels.
BLOCK_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)

#: The channels of every block are a multiple of this.
CHANNEL_DIVISOR = 8

Tensors = Mapping[str, NDArray[Any]]


def load_lite(precision: str = "float32", name: str = "lite") -> Network:
    """Load a variant with its installed weights. Raises ArtDreamError if they are missing or have another SHA-256."""
    return load_lite_from(locate_weights(name), precision, name)


def load_lite_from(path: Path, precision: str = "float32", name: str = "lite") -> Network:
    """Load a variant with the weights in a given file. Raises what load_lite raises."""
    variant = LITE_VARIANTS[name]
    model = _load_model(path, variant)
    names = tuple(layer.name for layer in model.layers[1:] if not layer.name.endswith(("_project", "pool")))
    frozen = fold_batch_norms(model, precision)
    return Network(name, variant.sha256, frozen, names, precision, imagenet_classes(), CLASS_MAP, (variant.side,))


def build_lite_backbone(name: str = "lite") -> keras.Model:
    """Return a variant without its classifier, trainable: pictures in [-1, 1] → (batch, rows, columns, 1280).

    It has ImageNet weights, with the batch normalizations folded in. Raises what load_lite raises.
    """
    model = _load_model(locate_weights(name), LITE_VARIANTS[name])
    model.trainable = True
    return keras.Model(model.input, model.get_layer("head").output, name=name)


def locate_weights(name: str = "lite") -> Path:
    """Return the path of a variant's weights file. Raises ArtDreamError if its package is not installed."""
    variant = LITE_VARIANTS[name]
    path = variant.find_weights()
    if path is None:
        raise ArtDreamError(
            f"The network {name} has no weights here: the extra “{variant.extra}” of artdream brings them."
        )
    return path


def _load_model(path: Path, variant: LiteVariant) -> keras.Model:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtDreamError(f"The weights {path} cannot be read ({error.strerror}): install them again.") from error
    if hashlib.sha256(content).hexdigest() != variant.sha256:
        raise ArtDreamError(f"The weights {path} are not those of {variant.title}: install them again.")
    model = _build_model(variant)
    _set_weights(model, parse_tensors(content, source=path.name))
    return model


def _scale_block_groups(variant: LiteVariant) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the groups of blocks of a variant, in the format of BLOCK_GROUPS.

    Channels are rounded to the nearest multiple of CHANNEL_DIVISOR. Stem and head have the same size in all variants,
    and the first and the last group one block.
    """
    for repeats, side, stride, expansion, channels in BLOCK_GROUPS:
        scaled_repeats = 1 if repeats == 1 else math.ceil(repeats * variant.depth)
        scaled_channels = int(channels * variant.width / CHANNEL_DIVISOR + 0.5) * CHANNEL_DIVISOR
        yield scaled_repeats, side, stride, expansion, scaled_channels


def _build_model(variant: LiteVariant) -> keras.Model:
    """Build a variant, all weights 0. The class map holds the logits of each position; their mean is the output."""
    # Zeros, because every kernel is overwritten, and JAX would compile a program for each random initializer.
    conv = {"padding": "same", "kernel_initializer": "zeros"}
    depthwise = {"padding": "same", "depthwise_initializer": "zeros"}
    x = picture = keras.Input((None, None, 3), name="picture")
    x = layers.Conv2D(32, 3, 2, activation="relu6", name="stem", **conv)(x)
    index = 0
    for repeats, side, group_stride, expansion, channels in _scale_block_groups(variant):
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
    model = keras.Model(picture, x, name=variant.name)
    model.trainable = False
    return model


def _set_weights(model: keras.Model, tensors: Tensors) -> None:
    """Set each convolution's kernel and bias, with its batch normalization folded in."""
    source_names = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    layer_names = {layer.name for layer in model.layers}
    for index in range(sum(name.endswith("_depthwise") for name in layer_names)):
        name, block = f"block{index}", f"_blocks.{index}"
        project = f"{name}_project" if f"{name}_project" in layer_names else name
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
