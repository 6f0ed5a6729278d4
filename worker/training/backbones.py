"""Backbones: networks up to their last feature map, ready to learn something new; and the head that they get."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS, WeightsFile
from worker.networks.loaders.efficientnet_lite import build_lite_backbone
from worker.networks.loaders.keras_applications import VGG_OFFSET, VGG_SCALE, build_inception_v3, build_vgg19
from worker.networks.transform.flatten import clone_layer
from worker.training.config import BackboneName

#: The layer that names the artist.
HEAD_LAYER = "artists"


class BackboneModel(NamedTuple):
    """A backbone."""

    #: Pictures (batch, height, width, 3) in [-1, 1], RGB, of open size → (batch, rows, columns, channels).
    model: keras.Model
    #: Whether it knows ImageNet; else it starts from nothing.
    is_pretrained: bool


def build_backbone(
    backbone: BackboneName, weights_folder: Path, published_weights: Mapping[str, WeightsFile] = PUBLISHED_WEIGHTS
) -> BackboneModel:
    """Build a backbone with what it knows.

    weights: the folder of the published weights, of which `published` tells; a large backbone whose weights are not
    there starts from nothing.
    Raises ArtDreamError where they are there and damaged.
    """
    if backbone == "lite":
        return BackboneModel(build_lite_backbone(), is_pretrained=True)
    file = published_weights[backbone]
    knows = file.path_in(weights_folder).exists()
    model = _LARGE_BACKBONES[backbone](file.verify(weights_folder)[0] if knows else None)
    if not knows:
        _initialize_kernels(model)
    return BackboneModel(model, knows)


def add_head(backbone: keras.Model, artist_count: int, dropout: float) -> keras.Model:
    """Return the body with a head on it: pictures → logits (batch, artists).

    The head is the mean of the last feature map and one dense layer, both linear, so that it can be taken at each
    position as well (`worker.networks.transform.class_map`): a class map of any size, for dreams.
    """
    x = layers.GlobalAveragePooling2D(name="mean")(backbone.output)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(
        backbone.input, layers.Dense(artist_count, name=HEAD_LAYER, dtype="float32")(x), name=backbone.name
    )


def _build_inception_backbone(path: Path | None) -> keras.Model:
    # The published file is that of the whole network, whose input has a fixed size; this one's is open.
    body = keras.applications.InceptionV3(weights=None, include_top=False)
    body.set_weights(build_inception_v3(path).get_weights()[: len(body.weights)])
    return keras.Model(body.input, body.output, name="inception_v3")


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
    """Draw kernels that keep activations of one size through many layers (He et al., arXiv 1502.01852)."""
    chance = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            kernel, *bias = layer.get_weights()
            spread = np.sqrt(2 / np.prod(kernel.shape[:-1]))
            layer.set_weights([chance.normal(0, spread, kernel.shape), *(np.zeros_like(one) for one in bias)])
