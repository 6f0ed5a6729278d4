"""Time and memory of every recipe, each in a process of its own, as a worker that knows only this recipe."""

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

#: A print: its canvas, the size of the photo, the recipe that is dreamt and its steps, few as each is as the next.
PRINT_CANVAS, PRINT_SIZE, PRINT_RECIPE, PRINT_STEPS = 4096, (4096, 3072), "animals", 2

#: Width and height of a photo as a worker gets it (shared.recipe.canvas.LARGEST).
PHOTO_SIZE = (1536, 1152)


def measure_peak_memory() -> int:
    """Return the most bytes of memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not getrusage: there Linux begins with the memory of the process that started this one.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def measure_recipe(
    name: str, canvas: int, size: tuple[int, int], folder: Path, steps: int | None, rounds: int
) -> dict[str, Any]:
    """Dream one recipe, and return seconds, those until its first frame, and memory. folder: where the weights are.

    steps: other than the recipe's own. rounds: dreams of which the fastest counts, after a short one that warms.
    """
    with quiet_import():
        from benchmarks.subjects import load_photo, make_engine
    recipe = load_recipe(name)
    steps = recipe.ascent.steps if steps is None else steps
    recipe, short = (
        recipe.model_copy(update={"canvas": canvas, "ascent": recipe.ascent.model_copy(update={"steps": count})})
        for count in (steps, 1)
    )
    picture = load_photo(*size)
    began = time.perf_counter()
    ours = make_engine(folder)
    ours.dream(picture, short, seed=0)
    cold = time.perf_counter() - began
    best: dict[str, Any] = {"seconds": float("inf")}
    for _ in range(rounds):
        frames: list[tuple[float, float]] = []
        began = time.perf_counter()
        dream = ours.dream(
            picture,
            recipe,
            seed=0,
            on_frame=lambda frame: frames.append((time.perf_counter() - began, frame.fraction)),  # noqa: B023
        )
        taken = time.perf_counter() - began
        if taken < best["seconds"]:
            best = {"seconds": taken, "first_frame": frames[0][0], "first_fraction": frames[0][1]}
            best["frames"] = len(frames)
    return {
        "recipe": name,
        "network": recipe.network,
        "canvas": canvas,
        "steps": steps,
        "precision": dream.precision,
        "warm_up": cold,
        **best,
        "memory": measure_peak_memory(),
    }


def _measure_in_subprocess(
    name: str, canvas: int, size: tuple[int, int], folder: Path, steps: int | None, rounds: int
) -> Any:
    """Measure a recipe in a process of its own; return the reason where it cannot be dreamt here."""
    command = [sys.executable, "-m", "benchmarks.recipes", name, str(canvas), *map(str, size), str(folder), str(rounds)]
    if steps is not None:
        command.append(str(steps))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # one recipe that fails does not take the figures of the others with it
        return {"recipe": name, "canvas": canvas, "refused": f"failed with status {done.returncode}"}
    found = json.loads(done.stdout.splitlines()[-1])
    print(name, canvas, f"{found['seconds']:.2f} s" if "seconds" in found else found["refused"], file=sys.stderr)
    return found


def measure(folder: Path, *, names: Sequence[str], canvases: Sequence[int], rounds: int, with_print: bool) -> None:
    """Measure and publish. folder: where the weights are."""
    load = os.getloadavg()[0]
    wanted: list[tuple[str, int, tuple[int, int], int | None, int]] = [
        (name, canvas, PHOTO_SIZE, None, rounds) for canvas in canvases for name in names
    ]
    if with_print:
        wanted.append((PRINT_RECIPE, PRINT_CANVAS, PRINT_SIZE, PRINT_STEPS, 1))
    found = [
        _measure_in_subprocess(name, canvas, size, folder, steps, count) for name, canvas, size, steps, count in wanted
    ]
    rows = []
    for one in found:
        if "refused" in one:
            rows.append((one["recipe"], str(one["canvas"]), one["refused"], "", "", "", ""))
            continue
        first = f"{one['first_frame']:.2f}", f"{one['first_frame'] / one['seconds']:.0%}"
        steps = "" if one["canvas"] != PRINT_CANVAS else f", {one['steps']} steps"
        rows.append(
            (
                one["recipe"] + steps,
                str(one["canvas"]),
                one["network"],
                f"{one['seconds']:.2f}",
                *first,
                f"{one['memory'] / 1e6:.0f}",
            )
        )
    columns = ("recipe", "canvas", "network", "dream, s", "first frame, s", "of the dream", "memory, MB")
    publish("engine-recipes", columns, rows, {"recipes": found, "load": load})


def main() -> None:
    """Measure one recipe in this process, and print what was found as one line of JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("recipe")
    for number in ("canvas", "width", "height"):
        parser.add_argument(number, type=int)
    parser.add_argument("weights", type=Path)
    parser.add_argument("rounds", type=int)
    parser.add_argument("steps", type=int, nargs="?")
    chosen = parser.parse_args()
    size = chosen.width, chosen.height
    try:
        found = measure_recipe(chosen.recipe, chosen.canvas, size, chosen.weights, chosen.steps, chosen.rounds)
    except ArtDreamError as error:  # a network or an artwork that this checkout does not have
        found = {"recipe": chosen.recipe, "canvas": chosen.canvas, "refused": str(error)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
