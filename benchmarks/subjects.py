"""What the benchmarks dream of and with: the sample photo, and the networks with weights made up here.

How long a dream takes does not depend on what a network has learnt, so the big networks get random weights of their
real size, in a file that goes through the loading code of the published ones. So every machine can measure.
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

#: The layers that are dreamt on where networks are compared: those of TensorFlow's tutorial, and their like.
DREAM_LAYERS = {"inception_v3": ("mixed3", "mixed5"), "vgg19": ("block5_conv3",), "lite": ("block10",)}

_APPLICATIONS: dict[str, Callable[[], keras.Model]] = {
    "inception_v3": lambda: keras.applications.InceptionV3(weights=None),
    "vgg19": lambda: keras.applications.VGG19(weights=None, include_top=False),
}


def load_photo(width: int, height: int, number: int = 0) -> NDArray[np.uint8]:
    """Return the sample at a size, (height, width, 3); each number from 0 to 15 is another photo of it."""
    sample = Image.open(io.BytesIO(convert(read_sample()).jpeg)).resize((width, height), Image.Resampling.LANCZOS)
    return np.roll(np.asarray(sample), number * width // 16, axis=1)


def make_weights(folder: Path) -> None:
    """Write weights for the big networks into a folder.

    Kernels are He-normal, and the statistics of normalisations those that such kernels give, so that activations keep
    their size from layer to layer as in a network that has learnt.
    """
    chance = np.random.default_rng(0)
    for name, make in _APPLICATIONS.items():
        model = make()
        for layer in model.layers:
            layer.set_weights([_draw_weights(weight.path, weight.shape, chance) for weight in layer.weights])
        model.save_weights(_weights_path(folder, name))


def make_networks(folder: Path, precision: Precision | None = None) -> Networks:
    """Return the networks, the big ones with the weights that make_weights wrote; precision None: as chosen here."""
    published = {name: _describe_weights(name, _weights_path(folder, name)) for name in _APPLICATIONS}
    return Networks(folder, None, precision or "auto", published)


def make_engine(folder: Path, precision: Precision | None = None) -> Engine:
    """Return an engine with these networks."""
    return Engine(make_networks(folder, precision), ReferenceImages())


def load_application(name: str, folder: Path) -> keras.Model:
    """Return a big network as Keras makes it, without its classifier, with the weights that make_weights wrote."""
    model = _APPLICATIONS[name]()
    model.load_weights(_weights_path(folder, name))
    if name == "vgg19":
        return model
    bare = keras.applications.InceptionV3(weights=None, include_top=False)
    bare.set_weights(model.get_weights()[: len(bare.weights)])
    return bare


def make_recipe(network: str, canvas: int, ascent: AscentConfig, measure: str = "mean-square") -> Recipe:
    """Return the recipe that climbs the layers of a network that are compared, on a canvas of any long side."""
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
    return recipe.model_copy(update={"canvas": canvas, "ascent": ascent})


def _draw_weights(path: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw one array of weights, told by its name."""
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
