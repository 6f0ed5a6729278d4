"""Networks with random numbers, as somebody else's Keras would have trained and saved them."""

import hashlib
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers

from worker.networks.loaders.downloads import WeightsFile


def randomize(model: keras.Model) -> keras.Model:
    """Give a model kernels that keep activations of the same size, and normalisations that do something."""
    chance = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            randomize(layer)
        elif isinstance(layer, layers.BatchNormalization):
            size = layer.moving_mean.shape
            # scale, then shift, where it has them; then mean and variance
            spread = [chance.uniform(0.8, 1.2, size)] if layer.scale else []
            shift = [chance.normal(0.1, 0.2, size)] if layer.center else []
            layer.set_weights([*spread, *shift, chance.normal(0, 0.2, size), chance.uniform(0.5, 1.5, size)])
        elif layer.weights:
            kernel, *bias = layer.get_weights()
            own = kernel.shape[:2] if isinstance(layer, layers.DepthwiseConv2D) else kernel.shape[:-1]
            scale = np.sqrt(2 / np.prod(own))
            layer.set_weights([chance.normal(0, scale, kernel.shape), *(chance.normal(0, 0.1, b.shape) for b in bias)])
    return model


def save_model(model: keras.Model, path: Path) -> Path:
    """Save a model, or its weights alone, in the format that the ending of the path names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras 3.15 has one of NumPy 2 when it writes
        model.save_weights(path) if path.name.endswith(".weights.h5") else model.save(path)
    return path


def describe_weights(network: str, path: Path, url: str = "http://127.0.0.1:9") -> WeightsFile:
    """Say of a file what is said of published weights."""
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    return WeightsFile(network, f"{url}/{path.name}", md5, path.stat().st_size, "none")


def make_pictures(height: int, width: int) -> np.ndarray:
    """Two pictures of the engine, smooth enough to be pictures."""
    chance = np.random.default_rng(height)
    coarse = chance.uniform(-1, 1, (2, height // 8 + 1, width // 8 + 1, 3))
    return coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width].astype(np.float32)
