"""Keras models with random weights, saved as Keras saves trained ones."""

import hashlib
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from worker.networks.loaders.downloads import WeightsFile


def randomize(model: keras.Model) -> keras.Model:
    """Set random weights: kernels that preserve the scale of activations, and normalizations other than identity."""
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomize(layer)
        elif isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            # the order of the weights: scale and shift, if the layer has them, then mean and variance
            scale_weights = [rng.uniform(0.8, 1.2, size)] if layer.scale else []
            shift_weights = [rng.normal(0.1, 0.2, size)] if layer.center else []
            layer.set_weights([*scale_weights, *shift_weights, rng.normal(0, 0.2, size), rng.uniform(0.5, 1.5, size)])
        elif layer.weights:
            kernel, *bias = layer.get_weights()
            fan_in_shape = kernel.shape[:2] if isinstance(layer, layers.DepthwiseConv2D) else kernel.shape[:-1]
            deviation = np.sqrt(2 / np.prod(fan_in_shape))
            layer.set_weights([rng.normal(0, deviation, kernel.shape), *(rng.normal(0, 0.1, b.shape) for b in bias)])
    return model


def save_model(model: keras.Model, path: Path) -> Path:
    """Save a model, or with `.weights.h5` its weights alone, in the format of the path's suffix; return the path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras 3.15 causes one in NumPy 2 when it saves
        model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def describe_weights(network: str, path: Path, url: str = "http://127.0.0.1:9") -> WeightsFile:
    """Return the description of a weights file, as published weights have one."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return WeightsFile(network, f"{url}/{path.name}", md5, path.stat().st_size, "none")


def make_pictures(height: int, width: int) -> np.ndarray:
    """Return two random pictures of 8-pixel blocks: (2, height, width, 3) float32 in [-1, 1]."""
    rng = np.random.default_rng(height)
    blocks = rng.uniform(-1, 1, (2, height // 8 + 1, width // 8 + 1, 3))
    return blocks.repeat(8, 1).repeat(8, 2)[:, :height, :width].astype(np.float32)
