"""Time and memory of every recipe, each in a process of its own, like a worker with only this recipe."""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import publish
from shared.errors import ArtDreamError
from shared.recipe.recipe import load_recipe
from worker.quiet_import import quiet_import

#: A print: its canvas, the size of the photo, the recipe, and its steps: few, because all take the same time.
PRINT_CANVAS, PRINT_SIZE, PRINT_RECIPE, PRINT_STEPS = 4096, (4096, 3072), "animals", 2

#: Width and height of a photo as a worker gets it (shared.recipe.canvas.MAX_PHOTO_SIDE).
PHOTO_SIZE = (1536, 1152)


def measure_peak_memory() -> int:
    """Return the peak memory of this process, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: on Linux its maximum includes the memory of the parent process before exec.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    max_rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max_rss if sys.platform == "darwin" else max_rss * 1024


def measure_recipe(
    name: str, canvas: int, size: tuple[int, int], folder: Path, steps: int | None, rounds: int
) -> dict[str, Any]:
    """Render one recipe, and return seconds, seconds until the first frame, and memory. folder: contains the weights.

    steps: instead of the recipe's own; None: its own. rounds: dreams of which the fastest counts, after a warm-up.
    """
    with quiet_import():
        from benchmarks.subjects import load_photo, make_engine
    recipe = load_recipe(name)
    steps = recipe.ascent.steps if steps is None else steps
    recipe, warm_up_recipe = (
        recipe.model_copy(
            update={"canvas": canvas, "size": None, "ascent": recipe.ascent.model_copy(update={"steps": count})}
        )
        for count in (steps, 1)
    )
    picture = load_photo(*size)
    started_at = time.perf_counter()
    engine = make_engine(folder)
    engine.dream(picture, warm_up_recipe, seed=0)
    warm_up_seconds = time.perf_counter() - started_at
    best: dict[str, Any] = {"seconds": float("inf")}
    for _ in range(rounds):
        frames: list[tuple[float, float]] = []
        started_at = time.perf_counter()
        dream = engine.dream(
            picture,
            recipe,
            seed=0,
            on_frame=lambda frame: frames.append((time.perf_counter() - started_at, frame.fraction)),  # noqa: B023
        )
        seconds = time.perf_counter() - started_at
        if seconds < best["seconds"]:
            best = {"seconds": seconds, "first_frame": frames[0][0], "first_fraction": frames[0][1]}
            best["frames"] = len(frames)
    return {
        "recipe": name,
        "network": recipe.network,
        "canvas": canvas,
        "steps": steps,
        "precision": dream.precision,
        "warm_up": warm_up_seconds,
        **best,
        "memory": measure_peak_memory(),
    }


def _measure_in_subprocess(
    name: str, canvas: int, size: tuple[int, int], folder: Path, steps: int | None, rounds: int
) -> Any:
    """Measure a recipe in a process of its own; return the reason if it cannot be rendered here."""
    command = [sys.executable, "-m", "benchmarks.recipes", name, str(canvas), *map(str, size), str(folder), str(rounds)]
    if steps is not None:
        command.append(str(steps))
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if process.returncode:  # the other recipes are measured even if one fails
        return {"recipe": name, "canvas": canvas, "refused": f"failed with status {process.returncode}"}
    result = json.loads(process.stdout.splitlines()[-1])
    print(name, canvas, f"{result['seconds']:.2f} s" if "seconds" in result else result["refused"], file=sys.stderr)
    return result


def measure(folder: Path, *, names: Sequence[str], canvases: Sequence[int], rounds: int, with_print: bool) -> None:
    """Measure and publish. folder: contains the weights. with_print: include the large dream for a print."""
    load = os.getloadavg()[0]
    runs: list[tuple[str, int, tuple[int, int], int | None, int]] = [
        (name, canvas, PHOTO_SIZE, None, rounds) for canvas in canvases for name in names
    ]
    if with_print:
        runs.append((PRINT_RECIPE, PRINT_CANVAS, PRINT_SIZE, PRINT_STEPS, 1))
    results = [
        _measure_in_subprocess(name, canvas, size, folder, steps, count) for name, canvas, size, steps, count in runs
    ]
    rows = []
    for result in results:
        if "refused" in result:
            rows.append((result["recipe"], str(result["canvas"]), result["refused"], "", "", "", ""))
            continue
        first_frame_cells = f"{result['first_frame']:.2f}", f"{result['first_frame'] / result['seconds']:.0%}"
        steps = "" if result["canvas"] != PRINT_CANVAS else f", {result['steps']} steps"
        rows.append(
            (
                result["recipe"] + steps,
                str(result["canvas"]),
                result["network"],
                f"{result['seconds']:.2f}",
                *first_frame_cells,
                f"{result['memory'] / 1e6:.0f}",
            )
        )
    columns = ("recipe", "canvas", "network", "dream, s", "first frame, s", "of the dream", "memory, MB")
    publish("engine-recipes", columns, rows, {"recipes": results, "load": load})


def main() -> None:
    """Measure one recipe in this process, and print what was found as one line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("recipe")
    for number in ("canvas", "width", "height"):
        parser.add_argument(number, type=int)
    parser.add_argument("weights", type=Path)
    parser.add_argument("rounds", type=int)
    parser.add_argument("steps", type=int, nargs="?")
    arguments = parser.parse_args()
    size = arguments.width, arguments.height
    try:
        result = measure_recipe(
            arguments.recipe, arguments.canvas, size, arguments.weights, arguments.steps, arguments.rounds
        )
    except ArtDreamError as error:  # this checkout does not have the network or artwork
        result = {"recipe": arguments.recipe, "canvas": arguments.canvas, "refused": str(error)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
