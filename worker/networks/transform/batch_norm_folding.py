"""Any Keras network made fit for dreaming: frozen, of open size, its normalisations folded into its convolutions."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from worker.networks.transform.flatten import clone_layer
from worker.networks.transform.frozen_convolution import FrozenConvolution

#: What the network was trained on: [-1, 1], 0 to 255, or 0 to 1; and how the engine's [-1, 1] becomes that.
INPUT_RANGES: Mapping[str, tuple[float, float]] = {"unit": (1.0, 0.0), "bytes": (127.5, 127.5), "zero_one": (0.5, 0.5)}

#: Layers that do something only while a network learns.
_TRAINING_ONLY_LAYERS = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.ActivityRegularization,
)


def fold_batch_norms(
    model: keras.Model, precision: str, *, scale: float = 1, offset: Any = 0, new_names: Mapping[str, str] | None = None
) -> keras.Model:
    """Return the same function with open height and width, computing in a precision and giving what it gave.

    model: functional and flat, from pictures (batch, height, width, 3). Every BatchNormalization behind a convolution
    that nothing else reads becomes part of it: 6 % faster in float32, a quarter in bfloat16 (InceptionV3). scale,
    offset: turn the engine's [-1, 1] into the network's own numbers, in float32 (offset may be one for each channel).
    names: layers that get another name. A convolution that took in a normalisation has the normalisation's name, for
    it gives what that gave.
    """
    new_names = new_names or {}
    partners = _find_foldable_batch_norms(model)
    convolutions = {convolution: normalisation for normalisation, convolution in partners.items()}
    seen_convolution = False

    def replace_layer(layer: Any, *arguments: Any, **keywords: Any) -> Any:
        nonlocal seen_convolution
        if layer.name in partners or isinstance(layer, _TRAINING_ONLY_LAYERS):
            return arguments[0]
        name = new_names.get(layer.name, layer.name)
        if type(layer) in (layers.Conv2D, layers.DepthwiseConv2D) and layer.data_format == "channels_last":
            seen_convolution = True
            kernel, bias = _get_kernel_and_bias(layer)
            if layer.name in convolutions:
                normalisation = model.get_layer(convolutions[layer.name])
                kernel, bias = _fold_into_convolution(layer, kernel, bias, normalisation)
                name = new_names.get(normalisation.name, normalisation.name)
            return FrozenConvolution(kernel, bias, template=layer, name=name, dtype=precision)(arguments[0])
        # What prepares the picture keeps all its bits, and so does a mean over the whole of it.
        whole = not seen_convolution or isinstance(layer, layers.GlobalAveragePooling2D)
        return clone_layer(layer, name, "float32" if whole else precision)(*arguments, **keywords)

    x = picture = keras.Input((None, None, 3), name="picture")
    if scale != 1 or np.any(offset):
        x = layers.Rescaling(scale, offset, name="range")(x)
    # Keras's own clone_model is built on this method; it has no public name.
    out = model._run_through_graph(x, operation_fn=lambda layer: layer, call_fn=replace_layer)
    frozen = keras.Model(picture, out, name=model.name)
    frozen.trainable = False
    return frozen


def _find_foldable_batch_norms(model: keras.Model) -> dict[str, str]:
    """Find the normalisations that can be folded: their names → those of their convolutions."""
    read = [layer for layer in model.operations if not isinstance(layer, layers.InputLayer)]
    readers = Counter(id(tensor) for layer in read for tensor in keras.tree.flatten(layer.input))
    readers.update(id(tensor) for tensor in model.outputs)
    makers: dict[int, Any] = {id(layer.output): layer for layer in read if not isinstance(layer.output, (list, tuple))}
    found = {}
    for layer in read:
        if isinstance(layer, layers.BatchNormalization) and layer.axis in (-1, 3):
            maker: Any = makers.get(id(layer.input))
            plain = type(maker) in (layers.Conv2D, layers.DepthwiseConv2D) and maker.data_format == "channels_last"
            if plain and maker.activation is keras.activations.linear and readers[id(layer.input)] == 1:
                found[layer.name] = maker.name
    return found


def _get_kernel_and_bias(layer: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    kernel, *bias = _get_float32_weights(layer)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    out = kernel.shape[2] * kernel.shape[3] if depthwise else kernel.shape[3]
    return kernel, bias[0] if bias else np.zeros(out, np.float32)


def _fold_into_convolution(
    layer: Any, kernel: NDArray[np.float32], bias: NDArray[np.float32], batch_norm: Any
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias of a convolution that normalises what it gives."""
    weights = iter(_get_float32_weights(batch_norm))
    gamma = next(weights) if batch_norm.scale else np.ones_like(bias)
    beta = next(weights) if batch_norm.center else np.zeros_like(bias)
    mean, variance = weights
    scale = gamma / np.sqrt(variance + batch_norm.epsilon)
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale), (bias - mean) * scale + beta


def _get_float32_weights(layer: Any) -> list[NDArray[np.float32]]:
    # A file may hold float16, in which a small variance loses its bits.
    return [np.asarray(weights, np.float32) for weights in layer.get_weights()]
