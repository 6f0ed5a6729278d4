"""Take a model apart into single layers, each used once, so that a rewrite need know nothing else."""

from collections import Counter
from typing import Any

import keras
from keras import layers

from shared.errors import ArtDreamError

_POOLING_ATTRIBUTES = ("pool_size", "strides", "padding", "data_format")

#: Layers that are told wholly by these settings. Asking them for their configuration would make Keras import TensorFlow
#: wherever it is installed, whatever computes.
_ATTRIBUTES_BY_TYPE: dict[type, tuple[str, ...]] = {
    layers.Activation: ("activation",),
    layers.Add: (),
    layers.AveragePooling2D: _POOLING_ATTRIBUTES,
    layers.Concatenate: ("axis",),
    layers.GlobalAveragePooling2D: ("keepdims", "data_format"),
    layers.MaxPooling2D: _POOLING_ATTRIBUTES,
}


def flatten_model(model: keras.Model) -> keras.Model:
    """Return a model in which no layer is a model itself, and none is used twice.

    Raises ArtDreamError where it is not made of layers that Keras knows how to follow.
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_run_through_graph") or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ArtDreamError(f"The network {model.name} is not a functional Keras model from one picture to one output.")
    uses = Counter(id(layer) for layer in model.operations for _ in layer._inbound_nodes)
    nested = any(isinstance(layer, keras.Model) for layer in model.operations)
    if not nested and max(uses.values()) == 1:
        return model
    taken: Counter[str] = Counter()

    def call_layer(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            for inner in layer.layers:
                arguments = (call_layer(inner, *arguments),)
            return arguments[0]
        if isinstance(layer, keras.Model):
            return layer._run_through_graph(arguments[0], operation_fn=lambda inner: inner, call_fn=call_layer)
        taken[layer.name] += 1
        name = layer.name if taken[layer.name] == 1 else f"{layer.name}_{taken[layer.name]}"
        return clone_layer(layer, name)(*arguments, **keywords)

    picture = keras.Input(model.inputs[0].shape[1:])
    return keras.Model(
        picture,
        model._run_through_graph(picture, operation_fn=lambda layer: layer, call_fn=call_layer),
        name=model.name,
    )


def clone_layer(layer: Any, name: str, dtype: str | None = None) -> Any:
    """Return a function of the same layer, with weights of its own."""
    twin = _build_clone(layer, name, dtype)

    def call(*arguments: Any, **keywords: Any) -> Any:
        out = twin(*arguments, **keywords)
        if isinstance(layer, layers.Layer):
            twin.set_weights(layer.get_weights())
        return out

    return call


def _build_clone(layer: Any, name: str, dtype: str | None) -> Any:
    settings = _ATTRIBUTES_BY_TYPE.get(type(layer))
    if settings is not None:
        return type(layer)(**{each: getattr(layer, each) for each in settings}, name=name, dtype=dtype)
    config = layer.get_config() | {"name": name}
    if dtype is not None and isinstance(layer, layers.Layer):
        config["dtype"] = dtype
    return type(layer).from_config(config)
