"""The bundled network compared with InceptionV3, and the share of a dream's time that is spent outside the network."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from benchmarks.report import publish
from benchmarks.subjects import DREAM_LAYERS, load_photo, make_engine, make_networks, make_recipe
from benchmarks.timing import measure_best
from shared.recipe.canvas import choose_canvas
from shared.recipe.recipe import AscentConfig
from worker.backend import compile_function, count_traces, value_and_gradient
from worker.dreaming.octaves import Octave, list_octaves
from worker.networks.network import Network, to_picture

#: Long side of the canvas in pixels, and width and height of a photo for it.
CANVAS_LONG_SIDE, PHOTO_SIZE = 640, (1024, 768)


def make_network_run(network: Network, sizes: list[Octave], steps: int) -> Callable[[], None]:
    """Return a function that computes value and gradient as often as a dream does at each octave, and nothing else."""
    features = network.feature_extractor(DREAM_LAYERS[network.name])

    def score(picture: Any) -> Any:
        return sum(ops.mean(ops.square(activations)) for activations in features(picture).values())

    def gradient_fn(picture: Any) -> tuple[Any, tuple[Any, ...]]:
        return value_and_gradient(score, picture)

    call = compile_function(gradient_fn, input_specs=[((None, None, None, 3), "float32")], model=features)
    pictures = [ops.convert_to_tensor(to_picture(load_photo(size.width, size.height))) for size in sizes]

    def run() -> None:
        for picture in pictures:
            for _ in range(steps):
                value, _gradient = call(picture)
        float(value)

    return run


def measure(folder: Path, *, rounds: int) -> None:
    """Measure and publish. folder: contains the weights. rounds: runs of each candidate, of which the best counts."""
    load = os.getloadavg()[0]
    ascent = AscentConfig()
    canvas = choose_canvas(*PHOTO_SIZE, CANVAS_LONG_SIDE)
    engine, networks = make_engine(folder), make_networks(folder)
    picture = load_photo(*PHOTO_SIZE)
    candidates: dict[str, Callable[[], object]] = {}
    for name in ("lite", "inception_v3"):
        recipe = make_recipe(name, CANVAS_LONG_SIDE, ascent)

        def dream(recipe: Any = recipe) -> None:
            engine.dream(picture, recipe, seed=0, on_frame=lambda _: None)

        candidates[f"{name} dream"] = dream
        network = networks.load(name)
        sizes = list_octaves(canvas.height, canvas.width, ascent, network.min_side)
        candidates[f"{name} bare"] = make_network_run(network, sizes, ascent.steps)
    best_seconds = measure_best(candidates, rounds)
    traces_before = count_traces()
    engine.dream(np.flip(picture, 1), make_recipe("lite", CANVAS_LONG_SIDE, ascent), seed=1)
    new_traces = count_traces() - traces_before

    rows = []
    for name in ("lite", "inception_v3"):
        dream_seconds, network_seconds = best_seconds[f"{name} dream"], best_seconds[f"{name} bare"]
        faster = best_seconds["inception_v3 dream"] / dream_seconds
        rows.append(
            (
                name,
                f"{dream_seconds:.2f}",
                f"{network_seconds:.2f}",
                f"{1 - network_seconds / dream_seconds:.0%}",
                f"{faster:.2f} ×",
            )
        )
    rows.append(("traces of a second photo", str(new_traces), "", "", ""))
    columns = (f"{canvas.width} × {canvas.height}, 5 octaves, 15 steps", "dream", "network", "around it", "faster")
    facts = {"seconds": best_seconds, "traces": new_traces, "precision": networks.load("lite").precision, "load": load}
    publish("engine-lite", columns, rows, facts)
