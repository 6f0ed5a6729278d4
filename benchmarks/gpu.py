"""The dream engine on one accelerator, through JAX: its networks against the peak, and recipes one by one and together.

It runs on a CPU too, slowly: `--canvas 256 --steps 1 --batch 1 2 --rounds 1` shows that it works.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from benchmarks.report import publish
from shared.errors import ArtDreamError
from shared.recipe.recipe import list_recipe_names, load_recipe
from worker.quiet_import import quiet_import

Precision = Literal["bfloat16", "float32"]

PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")

#: Width ÷ height of the photos.
PHOTO_ASPECT = 4 / 3


def describe_device() -> str:
    """Return the name of the device and of the backend."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return f"{jax.devices()[0].device_kind}, JAX {jax.__version__}"
    return f"{keras.distribution.list_devices()[0]}, {keras.backend.backend()}"


def measure_networks(folder: Path, batches: Sequence[int], precisions: Sequence[Precision], rounds: int) -> None:
    """Measure and publish the share of the peak that the ascents reach. folder: contains the weights."""
    from benchmarks.peak import PICTURE_SIZE, measure_flops

    flops = {batch: measure_flops(folder, precisions, rounds, batch) for batch in batches}
    rows = [
        (name, precision, str(batch), f"{speed / 1e12:.2f}", f"{speed / speeds['peak']:.0%}")
        for batch, by_precision in flops.items()
        for precision, speeds in by_precision.items()
        for name, speed in speeds.items()
    ]
    columns = (f"one step at {PICTURE_SIZE[0]} × {PICTURE_SIZE[1]}", "precision", "pictures", "TFLOP/s", "of the peak")
    publish("gpu-networks", columns, rows, {"device": describe_device(), "flops": flops})


def measure_recipes(
    folder: Path,
    names: Sequence[str],
    canvas: int,
    batches: Sequence[int],
    precisions: Sequence[Precision],
    steps: int | None,
    rounds: int,
) -> None:
    """Measure and publish the rendering time of recipes, for one photo at a time and for batches."""
    from benchmarks.subjects import load_photo, make_engine
    from benchmarks.timing import measure_best

    photos = [load_photo(canvas, round(canvas / PHOTO_ASPECT), number) for number in range(max(batches))]
    rows, results = [], []
    for precision in precisions:
        for name in names:
            engine = make_engine(
                folder, precision
            )  # one per recipe, so that functions compiled for others take no memory
            recipe = load_recipe(name).model_copy(update={"canvas": canvas, "size": None})
            if steps is not None:
                recipe = recipe.model_copy(update={"ascent": recipe.ascent.model_copy(update={"steps": steps})})

            def dream(batch: int, engine: Any = engine, recipe: Any = recipe) -> None:
                engine.dream_batch(photos[:batch], recipe, seeds=range(batch))

            try:
                best_seconds = measure_best({str(batch): partial(dream, batch) for batch in batches}, rounds)
            except ArtDreamError as error:  # this checkout does not have the network or artwork
                rows.append((name, precision, str(error), *[""] * (len(batches) - 1)))
                continue
            rows.append((name, precision, *(f"{best_seconds[str(batch)] / batch:.3f}" for batch in batches)))
            results.append({"recipe": name, "precision": precision, "canvas": canvas, "seconds": best_seconds})
    columns = (f"canvas {canvas}, seconds a picture", "precision", *(f"{batch} together" for batch in batches))
    publish("gpu-recipes", columns, rows, {"device": describe_device(), "recipes": results, "steps": steps})


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--canvas", type=int, default=640, help="long side in pixels")
    parser.add_argument("--recipe", nargs="+", default=list_recipe_names(), help="which recipes")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16], help="photos dreamt together, 16 at most")
    parser.add_argument("--precision", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--steps", type=int, help="at each octave, instead of the recipe's own")
    parser.add_argument("--rounds", type=int, default=3, help="turns of which the best counts")
    parser.add_argument("--no-networks", action="store_true", help="recipes only")
    arguments = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "jax")
    with quiet_import():
        from benchmarks.subjects import make_weights
    print(describe_device())
    with tempfile.TemporaryDirectory(prefix="artdream-bench-") as name:
        folder = Path(name)
        make_weights(folder)
        if not arguments.no_networks:
            measure_networks(folder, arguments.batch, arguments.precision, arguments.rounds)
        measure_recipes(
            folder,
            arguments.recipe,
            arguments.canvas,
            arguments.batch,
            arguments.precision,
            arguments.steps,
            arguments.rounds,
        )
    if os.environ["KERAS_BACKEND"] == "jax" and "tensorflow" in sys.modules:
        raise SystemExit("Something imported TensorFlow: with KERAS_BACKEND=jax nothing may.")


if __name__ == "__main__":
    main()
