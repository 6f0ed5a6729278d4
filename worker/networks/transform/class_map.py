"""Class maps: a classifier's logits at each position of the picture, instead of once for the whole picture."""

from typing import Any

import keras
from keras import layers

from shared.errors import ArtDreamError

CLASS_MAP = "classmap"
LOGITS = "logits"


def add_class_map(model: keras.Model) -> keras.Model:
    """Return the model with a class map before its pooling or, without a classifier, cut after its last feature map.

    model: flat. If it ends in global average pooling, optional dropout, and one dense layer, the dense layer becomes a
    1 × 1 convolution `classmap` before the pooling, (batch, rows, columns, classes), whose mean `logits` equals the
    output of the dense layer before its softmax: pooling and dense layer are both linear, so they can be swapped.
    Raises ArtDreamError if there is no feature map.
    """
    classifier = _find_classifier(model)
    if classifier is None:
        return keras.Model(model.inputs[0], _find_last_feature_map(model))
    features, dense = classifier
    kernel, *bias = dense.get_weights()
    convolution = layers.Conv2D(dense.units, 1, use_bias=bool(bias), name=CLASS_MAP)
    logits = layers.GlobalAveragePooling2D(name=LOGITS)(convolution(features))
    convolution.set_weights([kernel[None, None], *bias])
    return keras.Model(model.inputs[0], logits, name=model.name)


def _find_classifier(model: keras.Model) -> tuple[Any, Any] | None:
    """Return the last feature map and the dense layer that reads its mean; None if the model has no such end."""
    producers = _map_tensors_to_layers(model)
    layer = producers[id(model.outputs[0])]
    while isinstance(layer, (layers.Activation, layers.Softmax, layers.Dropout)) and _is_linear_or_softmax(layer):
        layer = producers[id(layer.input)]
    if not isinstance(layer, layers.Dense) or not _is_linear_or_softmax(layer):
        return None
    dense, layer = layer, producers[id(layer.input)]
    while isinstance(layer, layers.Dropout):
        layer = producers[id(layer.input)]
    if isinstance(layer, layers.GlobalAveragePooling2D) and not layer.keepdims:
        return layer.input, dense
    return None


def _is_linear_or_softmax(layer: Any) -> bool:
    """Return whether the activation of a layer, if it has one, is linear or softmax."""
    activation = getattr(layer, "activation", keras.activations.linear)
    return activation in (keras.activations.linear, keras.activations.softmax)


def _find_last_feature_map(model: keras.Model) -> Any:
    producers = _map_tensors_to_layers(model)
    tensor = model.outputs[0]
    while len(tensor.shape) != 4:
        inputs = keras.tree.flatten(producers[id(tensor)].input) if id(tensor) in producers else []
        if len(inputs) != 1 or isinstance(producers[id(tensor)], layers.InputLayer):
            raise ArtDreamError(f"The network {model.name} has no last feature map: it cannot dream.")
        tensor = inputs[0]
    return tensor


def _map_tensors_to_layers(model: keras.Model) -> dict[int, Any]:
    return {id(tensor): layer for layer in model.operations for tensor in keras.tree.flatten(layer.output)}
