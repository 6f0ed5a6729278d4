"""The engine against the loop of TensorFlow's DeepDream tutorial, at the same work."""

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

#: The tutorial's photo: 500 pixels wide, at 4:3.
PHOTO_SIZE = (500, 375)

#: Its octaves are 1.3 to the power of -2 to 2 of that, so its last is 845 pixels wide, and all of them have 1.217
#: million pixels. The nearest canvas of whole grains, and the engine's octaves below it, have 1.215 million.
CANVAS_LONG_SIDE = 832

NETWORK_NAME = "inception_v3"

#: Largest difference between what both see, relative to the largest activation: beyond it they do not do the same.
MAX_ACTIVATION_DIFFERENCE = 1e-3


def measure(folder: Path, *, steps: int, rounds: int) -> None:
    """Measure and publish. folder: where the weights are. steps: at each octave; the tutorial's are 50."""
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
    plain, fast = make_engine(folder, "float32"), make_engine(folder, "bfloat16")
    taken = measure_best(
        {
            "the tutorial's loop": lambda: tutorial.dream(picture, sizes, steps),
            "the engine, float32": lambda: plain.dream(picture, recipe, seed=0),
            "the engine, bfloat16": lambda: fast.dream(picture, recipe, seed=0),
        },
        rounds,
    )
    reference = taken["the tutorial's loop"]
    rows = [(name, f"{one:.2f}", f"{reference / one:.2f} ×") for name, one in taken.items()]
    facts = {"seconds": taken, "steps": steps, "octaves": sizes, "difference": difference, "load": load}
    publish("engine-tutorial", (f"5 octaves, {steps} steps each", "seconds", "faster"), rows, facts)


def _measure_difference(tutorial: TutorialDeepDream, folder: Path) -> float:
    """Return how far apart the activations of both sides are for the photo, relative to the largest."""
    picture = to_picture(load_photo(*PHOTO_SIZE))
    names = DREAM_LAYERS[NETWORK_NAME]
    ours = make_networks(folder, "float32").load(NETWORK_NAME).feature_extractor(names)(picture, training=False)
    pairs = zip(tutorial.activations(picture), (np.asarray(ours[name]) for name in names), strict=True)
    return max(float(np.abs(theirs - own).max() / np.abs(theirs).max()) for theirs, own in pairs)
