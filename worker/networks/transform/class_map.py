"""A classifier's answer at each position of the picture, instead of one for all of it."""

from typing import Any

import keras
from keras import layers

from shared.errors import ArtDreamError

CLASS_MAP = "classmap"
LOGITS = "logits"


def add_class_map(model: keras.Model) -> keras.Model:
    """Return the model with a dense class map at its end, or with what follows its last feature map cut off.

    model: flat. Where it ends in global average pooling, dropout or none, and one dense layer, this becomes a 1 × 1
    convolution `classmap` in front of the pooling, (batch, rows, columns, classes), whose mean `logits` is what the
    dense layer gave before its softmax: pooling and dense layer are both linear, so they may change places. Raises
    ArtDreamError where there is no feature map.
    """
    ending = _find_classifier(model)
    if ending is None:
        return keras.Model(model.inputs[0], _find_last_feature_map(model))
    features, dense = ending
    kernel, *bias = dense.get_weights()
    convolution = layers.Conv2D(dense.units, 1, use_bias=bool(bias), name=CLASS_MAP)
    mean = layers.GlobalAveragePooling2D(name=LOGITS)(convolution(features))
    convolution.set_weights([kernel[None, None], *bias])
    return keras.Model(model.inputs[0], mean, name=model.name)


def _find_classifier(model: keras.Model) -> tuple[Any, Any] | None:
    """Find the last feature map and the dense layer that reads its mean."""
    makers = _map_tensors_to_layers(model)
    layer = makers[id(model.outputs[0])]
    while isinstance(layer, (layers.Activation, layers.Softmax, layers.Dropout)) and _is_linear_or_softmax(layer):
        layer = makers[id(layer.input)]
    if not isinstance(layer, layers.Dense) or not _is_linear_or_softmax(layer):
        return None
    dense, layer = layer, makers[id(layer.input)]
    while isinstance(layer, layers.Dropout):
        layer = makers[id(layer.input)]
    if isinstance(layer, layers.GlobalAveragePooling2D) and not layer.keepdims:
        return layer.input, dense
    return None


def _is_linear_or_softmax(layer: Any) -> bool:
    """Tell whether the activation of a layer, if it has one, does no more than turn logits into probabilities."""
    activation = getattr(layer, "activation", keras.activations.linear)
    return activation in (keras.activations.linear, keras.activations.softmax)


def _find_last_feature_map(model: keras.Model) -> Any:
    makers = _map_tensors_to_layers(model)
    tensor = model.outputs[0]
    while len(tensor.shape) != 4:
        inputs = keras.tree.flatten(makers[id(tensor)].input) if id(tensor) in makers else []
        if len(inputs) != 1 or isinstance(makers[id(tensor)], layers.InputLayer):
            raise ArtDreamError(f"The network {model.name} has no last feature map: it cannot dream.")
        tensor = inputs[0]
    return tensor


def _map_tensors_to_layers(model: keras.Model) -> dict[int, Any]:
    return {id(tensor): layer for layer in model.operations for tensor in keras.tree.flatten(layer.output)}
