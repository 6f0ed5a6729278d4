"""People in photos: the time to find them and to render their mask, and in which photos of a folder they are found."""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks.report import publish
from shared.recipe.canvas import scale_to_long_side
from tests.pictures import make_portrait
from worker.dreamer import Pixels
from worker.dreaming.matte import Matte
from worker.networks.people import find_people

#: Pixels: long sides of canvas and dream.
CANVAS_SIDE, DREAM_SIDE = 640, 1536

SHEET_SIDE, SHEET_COLUMNS = 320, 4


def measure_processor_seconds(action: Callable[[], object]) -> float:
    """Return the seconds that the processor's cores work on one call, whatever else they do meanwhile."""
    started_at = time.process_time()
    action()
    return time.process_time() - started_at


def measure_times(rounds: int) -> None:
    """Measure each step with a portrait of 4 : 3, and publish the times of the processor."""
    photo, full_photo = (make_portrait(side, side * 3 // 4) for side in (CANVAS_SIDE, DREAM_SIDE))
    probability = find_people(photo)
    assert probability is not None
    matte = Matte(probability, photo)
    steps: Mapping[str, Callable[[], object]] = {
        "find people": lambda: find_people(photo),
        "fit the matte": lambda: Matte(probability, photo),
        f"render it at {CANVAS_SIDE} px": lambda: matte.render(photo),
        f"render it at {DREAM_SIDE} px": lambda: matte.render(full_photo),
    }
    milliseconds = {
        step: round(1000 * min(measure_processor_seconds(action) for _ in range(rounds)), 1)
        for step, action in steps.items()
    }
    rows = [[step, f"{value:.1f}"] for step, value in milliseconds.items()]
    publish("people", ("step", "processor's ms"), rows, {"milliseconds": milliseconds})


def find_in_folder(folder: Path, sheet: Path | None) -> None:
    """Print the share of people in each JPEG and PNG of a folder; sheet: picture of what is found, without the rest."""
    cells: list[Pixels] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"}):
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        photo = np.asarray(upright.resize(scale_to_long_side(upright.width, upright.height, CANVAS_SIDE)))
        probability = find_people(photo)
        print(f"{path.name}: {'no people' if probability is None else f'{(probability > 0.5).mean():.1%}'}")
        if probability is not None:
            share = Matte(probability, photo).render(photo)[..., None]
            cells.append((photo * share + np.array([255, 0, 255]) * (1 - share)).astype(np.uint8))
    print(f"people in {len(cells)} photos")
    if sheet:
        rows = -(-len(cells) // SHEET_COLUMNS)
        picture = Image.new("RGB", (SHEET_COLUMNS * SHEET_SIDE, rows * SHEET_SIDE))
        for number, cell in enumerate(cells):
            thumbnail = ImageOps.contain(Image.fromarray(cell), (SHEET_SIDE, SHEET_SIDE))
            picture.paste(thumbnail, (number % SHEET_COLUMNS * SHEET_SIDE, number // SHEET_COLUMNS * SHEET_SIDE))
        picture.save(sheet)


def main() -> None:
    """Measure, or look through a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="photos to look through; without one, time is measured")
    parser.add_argument("--sheet", type=Path, help="write the people that are found into this picture")
    parser.add_argument("--rounds", type=int, default=20, help="runs of which the best counts")
    arguments = parser.parse_args()
    if arguments.folder:
        find_in_folder(arguments.folder, arguments.sheet)
    else:
        measure_times(arguments.rounds)


if __name__ == "__main__":
    main()
