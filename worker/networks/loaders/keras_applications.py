"""`inception_v3` and `vgg19`: networks of Keras Applications, with ImageNet weights that are downloaded once.

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

#: Mean red, green and blue of ImageNet, 0 to 255; VGG was trained with them subtracted.
IMAGENET_MEANS = np.array([123.68, 116.779, 103.939], np.float32)

#: Scale and offset that convert the engine's [-1, 1] to VGG's input range.
VGG_SCALE, VGG_OFFSET = 127.5, [float(value) for value in 127.5 - IMAGENET_MEANS]


def load_inception_v3(path: Path, digest: str, precision: str) -> Network:
    """Load InceptionV3 with its classes from a weights file. Raises ArtDreamError if the weights do not fit.

    path, digest: the weights file and its SHA-256. precision: compute type, `float32` or `bfloat16`. The layers are
    `mixed0` to `mixed10`, and `conv1` to `conv94`, the activations of the convolutions, in the order in which Keras
    builds them, which is the order of the paper's branches. They are renamed because Keras numbers its own names per
    process.
    """
    model = build_inception_v3(path)
    activations = sorted(
        (layer.name for layer in model.layers if isinstance(layer, layers.Activation)), key=_parse_layer_number
    )
    new_names = {name: f"conv{index}" for index, name in enumerate(activations, start=1)}
    frozen = fold_batch_norms(add_class_map(model), precision, new_names=new_names)
    layer_names = [layer.name for layer in frozen.layers]
    selected_layers = [
        name for name in layer_names if name in new_names.values() or (name.startswith("mixed") and "_" not in name)
    ]
    return Network(
        "inception_v3",
        digest,
        frozen,
        (*selected_layers, CLASS_MAP),
        precision,
        imagenet_classes(),
        CLASS_MAP,
        sides=(299,),
    )


def load_vgg19(path: Path, digest: str, precision: str) -> Network:
    """Load VGG-19, without its dense layers, from a weights file. Raises ArtDreamError if the weights do not fit.

    path, digest, precision: as for load_inception_v3. The layers are `block1_conv1` to `block5_conv4`, and
    `block1_pool` to `block5_pool`. The dense layers are 86 % of the weights and contain no positions, so the network
    has no classes.
    """
    frozen = fold_batch_norms(build_vgg19(path), precision, scale=VGG_SCALE, offset=VGG_OFFSET)
    names = tuple(layer.name for layer in frozen.layers if layer.name.startswith("block"))
    return Network("vgg19", digest, frozen, names, precision)


APPLICATION_LOADERS: Mapping[str, Callable[[Path, str, str], Network]] = {
    "inception_v3": load_inception_v3,
    "vgg19": load_vgg19,
}


def build_inception_v3(path: Path | None) -> keras.Model:
    """Build InceptionV3 with its classes. Raises ArtDreamError if the weights do not fit.

    path: the weights file; None: random weights.
    """
    return _load_weights(keras.applications.InceptionV3(weights=None), path)


def build_vgg19(path: Path | None) -> keras.Model:
    """Build VGG-19 without its dense layers. Raises ArtDreamError if the weights do not fit.

    path: the weights file; None: random weights.
    """
    model = _load_weights(keras.applications.VGG19(weights=None, include_top=False), path)
    # VGG-19 was trained on BGR: its first kernel is reversed once instead of every picture.
    first_layer = model.get_layer("block1_conv1")
    kernel, bias = first_layer.get_weights()
    first_layer.set_weights([kernel[:, :, ::-1], bias])
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
    """Return the number in a layer's name; 0 if it has none, as the first layer of a process."""
    number: Any = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
