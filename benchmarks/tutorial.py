"""The engine compared with the loop of TensorFlow's DeepDream tutorial, at the same work."""

import os
from pathlib import Path

import numpy as np

from benchmarks.reference.tutorial import TutorialDeepDream
from benchmarks.report import publish
from benchmarks.subjects import DREAM_LAYERS, load_application, load_photo, make_engine, make_networks, make_recipe
from benchmarks.timing import measure_best
from shared.recipe.canvas import choose_canvas
from shared.recipe.recipe import AscentConfig
from worker.dreaming.octaves import list_octaves
from worker.networks.network import to_picture

#: Width and height of the tutorial's photo: 500 pixels wide, at 4:3.
PHOTO_SIZE = (500, 375)

#: In pixels. The tutorial's octaves are 1.3 to the power of -2 to 2 of the photo: the last is 845 pixels wide, and all
#: have 1.217 million pixels. The nearest canvas, and the engine's octaves below it, have 1.215 million.
CANVAS_LONG_SIDE = 832

NETWORK_NAME = "inception_v3"

#: Largest difference of activations, relative to the largest activation; beyond it the two do not do the same work.
MAX_ACTIVATION_DIFFERENCE = 1e-3


def measure(folder: Path, *, steps: int, rounds: int) -> None:
    """Measure and publish. folder: contains the weights. steps: at each octave; the tutorial has 50."""
    load = os.getloadavg()[0]
    ascent = AscentConfig(
        octaves=5, octave_scale=1.3, steps=steps, step=TutorialDeepDream.STEP_SIZE, jitter=256, levels=0
    )
    recipe = make_recipe(NETWORK_NAME, CANVAS_LONG_SIDE, ascent, measure="mean")
    picture = load_photo(*PHOTO_SIZE)
    canvas = choose_canvas(*PHOTO_SIZE, CANVAS_LONG_SIDE)
    smallest = make_networks(folder).load(NETWORK_NAME).min_side
    sizes = [(size.height, size.width) for size in list_octaves(canvas.height, canvas.width, ascent, smallest)]

    tutorial = TutorialDeepDream(load_application(NETWORK_NAME, folder), DREAM_LAYERS[NETWORK_NAME])
    difference = _measure_difference(tutorial, folder)
    if difference > MAX_ACTIVATION_DIFFERENCE:
        raise SystemExit(f"The engine and the reference do not see the same: {difference:.1e} apart.")
    engine_float32, engine_bfloat16 = make_engine(folder, "float32"), make_engine(folder, "bfloat16")
    best_seconds = measure_best(
        {
            "the tutorial's loop": lambda: tutorial.dream(picture, sizes, steps),
            "the engine, float32": lambda: engine_float32.dream(picture, recipe, seed=0),
            "the engine, bfloat16": lambda: engine_bfloat16.dream(picture, recipe, seed=0),
        },
        rounds,
    )
    reference = best_seconds["the tutorial's loop"]
    rows = [(name, f"{seconds:.2f}", f"{reference / seconds:.2f} ×") for name, seconds in best_seconds.items()]
    facts = {"seconds": best_seconds, "steps": steps, "octaves": sizes, "difference": difference, "load": load}
    publish("engine-tutorial", (f"5 octaves, {steps} steps each", "seconds", "faster"), rows, facts)


def _measure_difference(tutorial: TutorialDeepDream, folder: Path) -> float:
    """Return the largest difference of both sides' activations for the photo, relative to the largest activation."""
    picture = to_picture(load_photo(*PHOTO_SIZE))
    names = DREAM_LAYERS[NETWORK_NAME]
    features = make_networks(folder, "float32").load(NETWORK_NAME).feature_extractor(names)(picture, training=False)
    pairs = zip(tutorial.activations(picture), (np.asarray(features[name]) for name in names), strict=True)
    return max(
        float(np.abs(reference - engine_features).max() / np.abs(reference).max())
        for reference, engine_features in pairs
    )
