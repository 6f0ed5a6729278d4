"""Backbones: networks up to their last feature map, ready for training; and the classifier head on top of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from shared.errors import ArtDreamError
from worker.networks.class_names import normalize_name
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS, WeightsFile
from worker.networks.loaders.efficientnet_lite import build_lite_backbone
from worker.networks.loaders.keras_applications import VGG_OFFSET, VGG_SCALE, build_inception_v3, build_vgg19
from worker.networks.loaders.lite_variants import LITE_VARIANTS
from worker.networks.transform.flatten import clone_layer
from worker.training.config import BackboneName

#: Name of the classifier head: the dense layer that outputs the artists' logits.
HEAD_LAYER = "artists"


class BackboneModel(NamedTuple):
    """A backbone, and whether it is pretrained."""

    #: Pictures (batch, height, width, 3) in [-1, 1], RGB, of open size → (batch, rows, columns, channels).
    model: keras.Model
    #: Whether it has ImageNet weights; otherwise its weights are random.
    is_pretrained: bool


def build_backbone(
    backbone: BackboneName, weights_folder: Path, published_weights: Mapping[str, WeightsFile] = PUBLISHED_WEIGHTS
) -> BackboneModel:
    """Build a backbone with its ImageNet weights, if they are available.

    weights_folder: folder of downloaded weights. published_weights: weights files by network name. A large backbone
    without downloaded weights has random ones. Raises ArtDreamError if a weights file is damaged, or the package of a
    variant of EfficientNet-Lite is not installed.
    """
    if backbone in LITE_VARIANTS:
        return BackboneModel(build_lite_backbone(backbone), is_pretrained=True)
    weights_file = published_weights[backbone]
    is_pretrained = weights_file.path_in(weights_folder).exists()
    model = _LARGE_BACKBONES[backbone](weights_file.verify(weights_folder)[0] if is_pretrained else None)
    if not is_pretrained:
        _initialize_kernels(model)
    return BackboneModel(model, is_pretrained)


def add_head(backbone: keras.Model, artist_count: int, dropout: float) -> keras.Model:
    """Return the backbone with a classifier head: pictures → logits (batch, artists), float32.

    The head is the mean of the last feature map and one dense layer. Both are linear, so the head can also be applied
    at each position (`worker.networks.transform.class_map`), which gives dreams a class map of any size.
    """
    x = layers.GlobalAveragePooling2D(name="mean")(backbone.output)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(
        backbone.input, layers.Dense(artist_count, name=HEAD_LAYER, dtype="float32")(x), name=backbone.name
    )


def copy_weights(source: keras.Model, classes: Sequence[str], target: keras.Model, artists: Sequence[str]) -> None:
    """Give a model with a head the weights of a network that was trained from the same backbone.

    classes, artists: names of the outputs of source and target; their order may differ. Raises ArtDreamError if an
    artist or a layer is missing from the source.
    """
    channels = {normalize_name(name): index for index, name in enumerate(classes)}
    try:
        order = [channels[normalize_name(artist)] for artist in artists]
        for layer in target.layers:
            weights = source.get_layer(layer.name).get_weights() if layer.weights else []
            layer.set_weights([values[..., order] for values in weights] if layer.name == HEAD_LAYER else weights)
    except (KeyError, ValueError) as error:
        raise ArtDreamError(
            f"The training cannot start from the weights of {source.name}: it must have been trained from the same "
            f"backbone, on the same artists ({error})."
        ) from error


def _build_inception_backbone(path: Path | None) -> keras.Model:
    # The published file is for the whole network, whose input has a fixed size; this model takes any size.
    backbone = keras.applications.InceptionV3(weights=None, include_top=False)
    backbone.set_weights(build_inception_v3(path).get_weights()[: len(backbone.weights)])
    return keras.Model(backbone.input, backbone.output, name="inception_v3")


def _build_vgg_backbone(path: Path | None) -> keras.Model:
    x = picture = keras.Input((None, None, 3), name="picture")
    if path is not None:
        x = layers.Rescaling(VGG_SCALE, VGG_OFFSET, name="range")(x)
    for layer in build_vgg19(path).layers[1:]:
        x = clone_layer(layer, layer.name)(x)
    return keras.Model(picture, x, name="vgg19")


_LARGE_BACKBONES: Mapping[str, Callable[[Path | None], keras.Model]] = {
    "inception_v3": _build_inception_backbone,
    "vgg19": _build_vgg_backbone,
}


def _initialize_kernels(model: keras.Model) -> None:
    """Draw random kernels that keep the scale of activations through many layers (He et al., arXiv 1502.01852)."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            kernel, *bias = layer.get_weights()
            deviation = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights([rng.normal(0, deviation, kernel.shape), *(np.zeros_like(values) for values in bias)])
