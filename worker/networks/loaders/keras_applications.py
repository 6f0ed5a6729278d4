"""`inception_v3` and `vgg19`: the networks of Keras applications, with ImageNet weights that are fetched once.

Architectures: Szegedy et al., arXiv 1512.00567; Simonyan and Zisserman, arXiv 1409.1556.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from shared.errors import ArtDreamError
from worker.networks.class_names import imagenet_classes
from worker.networks.network import Network
from worker.networks.transform.batch_norm_folding import fold_batch_norms
from worker.networks.transform.class_map import CLASS_MAP, add_class_map

#: Mean of ImageNet's pictures, red, green and blue, 0 to 255: what VGG was trained without.
IMAGENET_MEANS = np.array([123.68, 116.779, 103.939], np.float32)

#: How the engine's [-1, 1] becomes the numbers that VGG was trained on.
VGG_SCALE, VGG_OFFSET = 127.5, [float(value) for value in 127.5 - IMAGENET_MEANS]


def load_inception_v3(path: Path, digest: str, precision: str) -> Network:
    """Load InceptionV3 with its classes from a file of weights. Raises ArtDreamError where they do not fit.

    Its layers: `mixed0` to `mixed10`, and `conv1` to `conv94`, what its convolutions give, in the order in which Keras
    makes them, which is the order of the paper's branches. Keras numbers its own names per process.
    """
    model = build_inception_v3(path)
    activations = sorted(
        (one.name for one in model.layers if isinstance(one, layers.Activation)), key=_parse_layer_number
    )
    names = {name: f"conv{index}" for index, name in enumerate(activations, start=1)}
    frozen = fold_batch_norms(add_class_map(model), precision, new_names=names)
    known = [one.name for one in frozen.layers]
    order = [name for name in known if name in names.values() or (name.startswith("mixed") and "_" not in name)]
    return Network(
        "inception_v3", digest, frozen, (*order, CLASS_MAP), precision, imagenet_classes(), CLASS_MAP, sides=(299,)
    )


def load_vgg19(path: Path, digest: str, precision: str) -> Network:
    """Load VGG-19, without its dense layers, from a file of weights. Raises ArtDreamError where they do not fit.

    Its layers: `block1_conv1` to `block5_conv4`, and `block1_pool` to `block5_pool`. The dense layers are 86 % of its
    weights and tell nothing about positions, so it has no classes.
    """
    frozen = fold_batch_norms(build_vgg19(path), precision, scale=VGG_SCALE, offset=VGG_OFFSET)
    names = tuple(one.name for one in frozen.layers if one.name.startswith("block"))
    return Network("vgg19", digest, frozen, names, precision)


APPLICATION_LOADERS: Mapping[str, Callable[[Path, str, str], Network]] = {
    "inception_v3": load_inception_v3,
    "vgg19": load_vgg19,
}


def build_inception_v3(path: Path | None) -> keras.Model:
    """Build InceptionV3 with its classes; without a file, with random weights. Raises ArtDreamError for a misfit."""
    return _load_weights(keras.applications.InceptionV3(weights=None), path)


def build_vgg19(path: Path | None) -> keras.Model:
    """Build VGG-19 without its dense layers; without a file, with random weights. Raises ArtDreamError for a misfit."""
    model = _load_weights(keras.applications.VGG19(weights=None, include_top=False), path)
    # It was trained on blue, green, red: its first kernel is turned round once instead of every picture.
    first = model.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])
    return model


def _load_weights(model: keras.Model, path: Path | None) -> keras.Model:
    try:
        if path is not None:
            model.load_weights(path)
    except Exception as error:  # a damaged HDF5 file can raise nearly anything
        raise ArtDreamError(
            f"The weights {path} do not fit {model.name}: {str(error).partition(chr(10))[0]}"
        ) from error
    return model


def _parse_layer_number(name: str) -> int:
    """Return the number that Keras gave a layer; the first of a process has none."""
    number: Any = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
