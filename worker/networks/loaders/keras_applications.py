"""`inception_v3` and `vgg19`: networks of Keras Applications, with ImageNet weights that are downloaded once.

Of `inception_v3` the layers up to `mixed5` also load alone, from a file of packaged layers.

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
from worker.networks.loaders.downloads import INCEPTION_FIRST_LAYERS, PUBLISHED_WEIGHTS
from worker.networks.loaders.packaged_layers import CONVOLUTION_WEIGHTS, SUFFIX, read_arrays
from worker.networks.network import Network
from worker.networks.transform.batch_norm_folding import fold_batch_norms
from worker.networks.transform.class_map import CLASS_MAP, add_class_map

#: Mean red, green and blue of ImageNet, 0 to 255; VGG was trained with them subtracted.
IMAGENET_MEANS = np.array([123.68, 116.779, 103.939], np.float32)

#: Scale and offset that convert the engine's [-1, 1] to VGG's input range.
VGG_SCALE, VGG_OFFSET = 127.5, [float(value) for value in 127.5 - IMAGENET_MEANS]

#: What a recipe can name of InceptionV3 behind its packaged layers.
LATER_INCEPTION_LAYERS = frozenset(
    {*(f"mixed{index}" for index in range(6, 11)), *(f"conv{index}" for index in range(51, 95)), CLASS_MAP}
)


class FirstInceptionLayers(Network):
    """InceptionV3 up to `mixed5`. Whoever names a later layer, or a class, is told which file has them."""

    def class_index(self, name: str) -> int:
        """Raise ArtDreamError: the classes are in the published file only."""
        raise self._make_error(f"the class “{name}”")

    def _require_class_map(self) -> str:
        raise self._make_error("the classes")

    def _get_layer_output(self, name: str) -> Any:
        if name in LATER_INCEPTION_LAYERS:
            raise self._make_error(f"the layer “{name}”")
        return super()._get_layer_output(name)

    def _make_error(self, missing: str) -> ArtDreamError:
        return ArtDreamError(
            f"The network {self.name} is here without {missing}, because its weights from "
            f"{INCEPTION_FIRST_LAYERS.package} end at {INCEPTION_FIRST_LAYERS.last_layer}: that needs Keras's file "
            f"{PUBLISHED_WEIGHTS[self.name].file_name}, which `artdream networks fetch {self.name}` fetches if Keras's "
            f"host can be reached."
        )


def load_inception_v3(path: Path, digest: str, precision: str) -> Network:
    """Load InceptionV3 from a weights file. Raises ArtDreamError if the weights do not fit.

    path, digest: the weights file and its SHA-256; the published file, or one of packaged layers (`.npz`), with which
    the network ends at `mixed5` and has no classes. precision: compute type, `float32` or `bfloat16`. The layers are
    `mixed0` to `mixed10`, and `conv1` to `conv94`, the activations of the convolutions, in the order in which Keras
    builds them, which is the order of the paper's branches. They are renamed because Keras numbers its own names per
    process.
    """
    is_cut = path.suffix == SUFFIX
    model = _build_first_inception_layers(path) if is_cut else add_class_map(build_inception_v3(path))
    activations = _sort_by_number(model, layers.Activation)
    new_names = {layer.name: f"conv{index}" for index, layer in enumerate(activations, start=1)}
    frozen = fold_batch_norms(model, precision, new_names=new_names)
    layer_names = [layer.name for layer in frozen.layers]
    selected_layers = [
        name for name in layer_names if name in new_names.values() or (name.startswith("mixed") and "_" not in name)
    ]
    if is_cut:
        return FirstInceptionLayers("inception_v3", digest, frozen, tuple(selected_layers), precision)
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


def _build_first_inception_layers(path: Path) -> keras.Model:
    """Build InceptionV3 up to its last packaged layer. Raises ArtDreamError if the weights do not fit."""
    whole = keras.applications.InceptionV3(weights=None, include_top=False)
    last_layer = whole.get_layer(INCEPTION_FIRST_LAYERS.last_layer)
    model = keras.Model(whole.input, last_layer.output, name="inception_v3")
    arrays = read_arrays(path)
    pairs = zip(_sort_by_number(model, layers.Conv2D), _sort_by_number(model, layers.BatchNormalization), strict=True)
    try:
        for number, (convolution, batch_norm) in enumerate(pairs, start=1):
            kernel, *normalization = (arrays[f"conv{number}/{weight}"] for weight in CONVOLUTION_WEIGHTS)
            convolution.set_weights([kernel])
            batch_norm.set_weights(normalization)
    except (KeyError, ValueError) as error:
        raise _make_misfit_error(model, path, error) from error
    return model


def _load_weights(model: keras.Model, path: Path | None) -> keras.Model:
    try:
        if path is not None:
            model.load_weights(path)
    except Exception as error:  # a damaged HDF5 file can raise nearly anything
        raise _make_misfit_error(model, path, error) from error
    return model


def _make_misfit_error(model: keras.Model, path: Path | None, error: Exception) -> ArtDreamError:
    return ArtDreamError(f"The weights {path} do not fit {model.name}: {str(error).partition(chr(10))[0]}")


def _sort_by_number(model: keras.Model, kind: type) -> list[Any]:
    """Return the layers of a kind in the order of their creation."""
    return sorted(
        (layer for layer in model.layers if isinstance(layer, kind)), key=lambda layer: _parse_layer_number(layer.name)
    )


def _parse_layer_number(name: str) -> int:
    """Return the number in a layer's name; 0 if it has none, as the first layer of a process."""
    number: Any = name.rpartition("_")[2]
    return int(number) if number.isdecimal() else 0
