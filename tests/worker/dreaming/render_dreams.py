"""Render some recipes, to compare computing libraries: `python -m tests.worker.dreaming.render_dreams FILE.npz`.

Writes the photo, the dreams and one gradient into the file, and a report as JSON to stdout.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.recipe import Recipe
from tests.pictures import make_portrait
from worker.backend import compile_function, value_and_gradient
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import Artwork, ReferenceImages
from worker.networks import Networks
from worker.networks.network import to_picture

ADAM_ASCENT = {"octaves": 2, "steps": 2, "optimiser": "adam", "step": 0.05}
STYLE_TERM = {"kind": "style", "layers": {"block2": 1, "block4": 1}, "reference": "any/one"}

#: Recipe → its objective terms, and fields that differ from the defaults.
RECIPE_TERMS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "layers": ([{"kind": "layers", "layers": {"block10": 1}}], {}),
    "channels": ([{"kind": "channels", "layer": "block8", "channels": [3, 7]}], {}),
    "classes": ([{"kind": "classes", "classes": ["207"]}], {}),
    "style": ([STYLE_TERM, {"kind": "content", "layers": {"block4": 1}, "weight": 0.1}], {"ascent": ADAM_ASCENT}),
    "pyramid": (
        [{"kind": "classes", "classes": ["207"], "measure": "log-probability"}],
        {"ascent": ADAM_ASCENT | {"parameterisation": "pyramid", "view_scale": 0.5}},
    ),
    "background": ([{"kind": "layers", "layers": {"block10": 1}}], {"mask": "background", "size": 512}),
    "noise": ([{"kind": "channels", "layer": "block8", "channels": [3]}], {"start": "noise", "ascent": ADAM_ASCENT}),
}


class FixedReferences(ReferenceImages):
    """One generated artwork for every reference."""

    def load_artwork(self, reference: str, seed: int) -> Artwork:  # noqa: ARG002
        return Artwork(reference, make_texture(5))


def make_texture(seed: int) -> NDArray[np.uint8]:
    """Return shapes of every size, as in a photo: (192, 256, 3) uint8."""
    rng = np.random.default_rng(seed)
    texture = np.zeros((192, 256, 3))
    for scale in range(1, 7):
        blocks = rng.integers(0, 256, (3 * 2**scale, 4 * 2**scale, 3), dtype=np.uint8)
        texture += np.asarray(Image.fromarray(blocks).resize((256, 192), Image.Resampling.BICUBIC)) * 0.6**scale
    return ((texture - texture.min()) / np.ptp(texture) * 255).astype(np.uint8)


def make_recipe(name: str) -> Recipe:
    terms, options = RECIPE_TERMS[name]
    fields = {"name": name, "version": 1, "title": name, "description": name, "canvas": 256, "objective": terms}
    return Recipe.model_validate(fields | {"ascent": {"octaves": 2, "steps": 2}} | options)


def compute_gradient(networks: Networks, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the gradient of the mean square of a layer: (1, height, width, 3) float32."""
    features = networks.load("lite").feature_extractor(["block10"])

    def gradient_fn(picture: Any) -> Any:
        return value_and_gradient(lambda x: ops.mean(ops.square(features(x)["block10"]), axis=(1, 2, 3)), picture)

    input_specs = [((None, None, None, 3), "float32")]
    return np.asarray(compile_function(gradient_fn, input_specs=input_specs, model=features)(to_picture(photo))[1][0])


def load_saved_network(networks: Networks) -> None:
    """Save a network with Keras, and load it as an artist's network is loaded."""
    convolution = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(2.0), *convolution, layers.Dense(2)])
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/small.keras")
        networks.load(f"{folder}/small.keras").predict_probabilities(np.zeros((40, 50, 3), np.uint8))


def count_second_dream_compilations(engine: Engine, photo: NDArray[np.uint8]) -> int:
    """Return the number of functions that JAX compiles for a second dream, its own included."""
    from jax import monitoring

    events: list[str] = []
    monitoring.register_event_duration_secs_listener(lambda event, _seconds, **_: events.append(event))
    engine.dream(photo[::-1], make_recipe("layers"), seed=4)
    return sum("backend_compile" in event for event in events)


def main() -> None:
    networks = Networks(Path("/nowhere"), precision="float32")
    photo = make_texture(2)
    engine = Engine(networks, FixedReferences())
    portrait = make_portrait(512, 384)
    dreams = {
        name: engine.dream(portrait if name == "background" else photo, make_recipe(name), seed=3).pixels
        for name in RECIPE_TERMS
    }
    arrays: dict[str, Any] = dreams | {"photo": photo, "portrait": portrait, "slope": compute_gradient(networks, photo)}
    np.savez(sys.argv[1], **arrays)
    load_saved_network(networks)
    jax = keras.backend.backend() == "jax"
    report = {
        "precision": Networks(Path("/nowhere")).load("lite").precision,
        "compilations": count_second_dream_compilations(engine, photo) if jax else None,
        "imported": sorted({"tensorflow", "torch"} & set(sys.modules)),
    }
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
