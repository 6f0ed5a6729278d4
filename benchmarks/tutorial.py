"""The engine against the loop of TensorFlow's DeepDream tutorial, at the same work."""

import os
from pathlib import Path

import numpy as np

from benchmarks.reference.tutorial import Tutorial
from benchmarks.report import publish
from benchmarks.subjects import LAYERS, application, engine, networks, photo, recipe_on
from benchmarks.timing import best
from shared.recipe.canvas import choose_canvas
from shared.recipe.recipe import AscentConfig
from worker.dreaming.octaves import list_octaves
from worker.networks.network import to_picture

#: The tutorial's photo: 500 pixels wide, at 4:3.
SIZE = (500, 375)

#: Its octaves are 1.3 to the power of -2 to 2 of that, so its last is 845 pixels wide, and all of them have 1.217
#: million pixels. The nearest canvas of whole grains, and the engine's octaves below it, have 1.215 million.
CANVAS = 832

NETWORK = "inception_v3"

#: Largest difference between what both see, relative to the largest activation: beyond it they do not do the same.
TOLERANCE = 1e-3


def measure(folder: Path, *, steps: int, rounds: int) -> None:
    """Measure and publish. folder: where the weights are. steps: at each octave; the tutorial's are 50."""
    load = os.getloadavg()[0]
    ascent = AscentConfig(octaves=5, octave_scale=1.3, steps=steps, step=Tutorial.STEP, jitter=256, levels=0)
    recipe = recipe_on(NETWORK, CANVAS, ascent, measure="mean")
    picture = photo(*SIZE)
    canvas = choose_canvas(*SIZE, CANVAS)
    smallest = networks(folder).load(NETWORK).min_side
    sizes = [(size.height, size.width) for size in list_octaves(canvas.height, canvas.width, ascent, smallest)]

    tutorial = Tutorial(application(NETWORK, folder), LAYERS[NETWORK])
    difference = _difference(tutorial, folder)
    if difference > TOLERANCE:
        raise SystemExit(f"The engine and the reference do not see the same: {difference:.1e} apart.")
    plain, fast = engine(folder, "float32"), engine(folder, "bfloat16")
    taken = best(
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


def _difference(tutorial: Tutorial, folder: Path) -> float:
    """Return how far apart the activations of both sides are for the photo, relative to the largest."""
    picture = to_picture(photo(*SIZE))
    names = LAYERS[NETWORK]
    ours = networks(folder, "float32").load(NETWORK).feature_extractor(names)(picture, training=False)
    pairs = zip(tutorial.activations(picture), (np.asarray(ours[name]) for name in names), strict=True)
    return max(float(np.abs(theirs - own).max() / np.abs(theirs).max()) for theirs, own in pairs)
