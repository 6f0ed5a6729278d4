"""Photo, networks and recipe of the benchmarks: the sample photo, and big networks with random weights.

Rendering time does not depend on the values of the weights, so the big networks get random weights of their real size,
in files that are loaded by the code for the published ones. No download is needed.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from artdream.sample import read_sample
from producer.decoding.convert import convert
from shared.recipe.recipe import AscentConfig, Recipe
from worker.backend.precision import Precision
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.loaders.downloads import WeightsFile

#: The layers of the objective when networks are compared: those of TensorFlow's tutorial, and similar ones.
DREAM_LAYERS = {"inception_v3": ("mixed3", "mixed5"), "vgg19": ("block5_conv3",), "lite": ("block10",)}

_APPLICATIONS: dict[str, Callable[[], keras.Model]] = {
    "inception_v3": lambda: keras.applications.InceptionV3(weights=None),
    "vgg19": lambda: keras.applications.VGG19(weights=None, include_top=False),
}


def load_photo(width: int, height: int, number: int = 0) -> NDArray[np.uint8]:
    """Return the sample photo, (height, width, 3) uint8; each `number` from 0 to 15 shifts it to another photo."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize((width, height), Image.Resampling.LANCZOS)
    return np.roll(np.asarray(sample), number * width // 16, axis=1)


def make_weights(folder: Path) -> None:
    """Write random weights for the big networks into a folder.

    Kernels are He-normal, and the statistics of normalizations match such kernels, so that activations keep their scale
    from layer to layer, as in a trained network.
    """
    rng = np.random.default_rng(0)
    for name, make_model in _APPLICATIONS.items():
        model = make_model()
        for layer in model.layers:
            layer.set_weights([_draw_weights(weight.path, weight.shape, rng) for weight in layer.weights])
        model.save_weights(_weights_path(folder, name))


def make_networks(folder: Path, precision: Precision | None = None) -> Networks:
    """Return the networks, the big ones with weights from `make_weights`; precision None: chosen for this processor."""
    published = {name: _describe_weights(name, _weights_path(folder, name)) for name in _APPLICATIONS}
    return Networks(folder, None, precision or "auto", published)


def make_engine(folder: Path, precision: Precision | None = None) -> Engine:
    """Return an engine with the networks of `make_networks`."""
    return Engine(make_networks(folder, precision), ReferenceImages())


def load_application(name: str, folder: Path) -> keras.Model:
    """Return a big network as Keras builds it, without its classifier, with weights from `make_weights`."""
    model = _APPLICATIONS[name]()
    model.load_weights(_weights_path(folder, name))
    if name == "vgg19":
        return model
    headless = keras.applications.InceptionV3(weights=None, include_top=False)
    headless.set_weights(model.get_weights()[: len(headless.weights)])
    return headless


def make_recipe(network: str, canvas: int, ascent: AscentConfig, measure: str = "mean-square") -> Recipe:
    """Return a recipe whose objective are a network's DREAM_LAYERS, on a canvas of any long side in pixels."""
    recipe = Recipe.model_validate(
        {
            "name": "benchmark",
            "version": 1,
            "title": "Benchmark",
            "description": "Whole layers of one network.",
            "network": network,
            "objective": [{"kind": "layers", "layers": dict.fromkeys(DREAM_LAYERS[network], 1.0), "measure": measure}],
        }
    )
    return recipe.model_copy(update={"canvas": canvas, "size": None, "ascent": ascent})


def _draw_weights(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw one array of weights, of the kind that the last part of its path names."""
    kind = path.rpartition("/")[2]
    if kind == "kernel":
        fan_in = np.prod(shape[:-1])
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    if kind == "moving_variance":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)


def _weights_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.weights.h5"


def _describe_weights(name: str, path: Path) -> WeightsFile:
    with path.open("rb") as content:
        md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return WeightsFile(name, path.as_uri(), md5, path.stat().st_size, "made up for the benchmark")
