"""Flatten a model into single layers, each used once, so that other transformations see nothing nested or shared."""

from collections import Counter
from typing import Any

import keras
from keras import layers

from shared.errors import ArtDreamError

_POOLING_ATTRIBUTES = ("pool_size", "strides", "padding", "data_format")

#: Layers that these attributes describe completely. Their get_config() would make Keras import TensorFlow if it is
#: installed, whatever the backend.
_ATTRIBUTES_BY_TYPE: dict[type, tuple[str, ...]] = {
    layers.Activation: ("activation",),
    layers.Add: (),
    layers.AveragePooling2D: _POOLING_ATTRIBUTES,
    layers.Concatenate: ("axis",),
    layers.GlobalAveragePooling2D: ("keepdims", "data_format"),
    layers.MaxPooling2D: _POOLING_ATTRIBUTES,
}


def flatten_model(model: keras.Model) -> keras.Model:
    """Return an equivalent model without nested models and without a layer that is used twice.

    Raises ArtDreamError if it is not a functional Keras model with one input and one output.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_run_through_graph") or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ArtDreamError(f"The network {model.name} is not a functional Keras model from one picture to one output.")
    use_counts = Counter(id(layer) for layer in model.operations for _ in layer._inbound_nodes)
    has_nested_models = any(isinstance(layer, keras.Model) for layer in model.operations)
    if not has_nested_models and max(use_counts.values()) == 1:
        return model
    name_counts: Counter[str] = Counter()

    def call_layer(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            for inner in layer.layers:
                arguments = (call_layer(inner, *arguments),)
            return arguments[0]
        if isinstance(layer, keras.Model):
            return layer._run_through_graph(arguments[0], operation_fn=lambda inner: inner, call_fn=call_layer)
        name_counts[layer.name] += 1
        name = layer.name if name_counts[layer.name] == 1 else f"{layer.name}_{name_counts[layer.name]}"
        return clone_layer(layer, name)(*arguments, **keywords)

    picture = keras.Input(model.inputs[0].shape[1:])
    return keras.Model(
        picture,
        model._run_through_graph(picture, operation_fn=lambda layer: layer, call_fn=call_layer),
        name=model.name,
    )


def clone_layer(layer: Any, name: str, dtype: str | None = None) -> Any:
    """Return a function that calls a copy of a layer and then sets the copy's weights.

    name, dtype: of the copy; dtype None keeps the layer's own.
    """
    clone = _build_clone(layer, name, dtype)

    def call(*arguments: Any, **keywords: Any) -> Any:
        output = clone(*arguments, **keywords)
        if isinstance(layer, layers.Layer):
            clone.set_weights(layer.get_weights())
        return output

    return call


def _build_clone(layer: Any, name: str, dtype: str | None) -> Any:
    attributes = _ATTRIBUTES_BY_TYPE.get(type(layer))
    if attributes is not None:
        return type(layer)(**{attribute: getattr(layer, attribute) for attribute in attributes}, name=name, dtype=dtype)
    config = layer.get_config() | {"name": name}
    if dtype is not None and isinstance(layer, layers.Layer):
        config["dtype"] = dtype
    return type(layer).from_config(config)
