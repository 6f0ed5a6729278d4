"""How much dreamt videos flicker, and what they take, against dreaming their pictures one by one.

python -m benchmarks.video [--recipe animals portrait] [--pictures 16] [--photo PHOTO.jpg …]

The videos are made of two photos; without photos of your own, of the sample and its mirror image. Flicker is the mean
squared difference between a dream and the one before it, moved along the optical flow of the video, over the pixels
that the flow follows forth and back. A sheet of each pair of dreams lies in `artefacts/`: one by one above, as a video
below.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.report import ARTIFACTS_FOLDER, publish
from shared.recipe.recipe import load_recipe
from worker.dreamer import Pixels
from worker.quiet_import import quiet_import

RECIPES = ("animals", "mosaic", "portrait")

#: Pictures of a sheet, and the width of each.
SHEET_COLUMNS, SHEET_WIDTH = 6, 320


def main() -> None:
    """Measure every scene with every recipe, and publish the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", nargs="+", default=RECIPES, help="recipes")
    parser.add_argument("--scene", nargs="+", help="scenes; all by default")
    parser.add_argument("--pictures", type=int, default=16, help="pictures of each video, ten a second")
    parser.add_argument("--photo", type=Path, nargs="*", default=[], help="two photos of your own")
    parser.add_argument("--canvas", type=int, help="long side in pixels; the recipe's, up to 640, by default")
    arguments = parser.parse_args()
    with quiet_import():
        from benchmarks.subjects import load_photo
        from benchmarks.video_scenes import SCENES
        from worker.dreaming.engine import Engine
        from worker.dreaming.reference_images import ReferenceImages
        from worker.networks import Networks
    sample = Image.fromarray(load_photo(1280, 960))
    photos = [Image.open(path).convert("RGB") for path in arguments.photo] or [sample, ImageOps.mirror(sample)]
    engine = Engine(Networks(Path("/nowhere")), ReferenceImages())
    results = [
        measure(engine, name, scene, photos, arguments.pictures, arguments.canvas)
        for name in arguments.recipe
        for scene in arguments.scene or SCENES
    ]
    flicker_columns = ("flicker of the video", "one by one", "as a video", "ratio")
    columns = ("recipe", "scene", *flicker_columns, "CPU s/s one by one", "as a video")
    rows = [
        (
            result["recipe"],
            result["scene"],
            *(f"{result[key]:.1f}" for key in ("source", "one_by_one", "video")),
            f"{result['video'] / result['one_by_one']:.2f}",
            *(f"{result[key]:.1f}" for key in ("one_by_one_seconds", "video_seconds")),
        )
        for result in results
    ]
    publish("video", columns, rows, {"pictures": arguments.pictures, "results": results})


def measure(
    engine: Any, name: str, scene: str, photos: Sequence[Image.Image], count: int, canvas: int | None
) -> dict[str, Any]:
    """Dream one video in both ways. Flicker in grey levels squared; processor's seconds for each second of video."""
    from benchmarks.video_scenes import make_video
    from worker.clips.dreamt_video import choose_video_recipe, dream_video
    from worker.clips.guest_video import VIDEO_RATE

    recipe = choose_video_recipe(load_recipe(name))
    if recipe is None:
        raise SystemExit(f"The recipe {name} dreams no videos.")
    recipe = recipe.model_copy(update={"canvas": canvas or recipe.canvas})
    engine.warm_up(recipe)
    video = make_video(scene, photos, count, recipe.canvas)
    pictures = [video.pictures[number] for number in range(count)]
    one_by_one, one_by_one_seconds = _time(lambda: [engine.dream_next(each, recipe, seed=1)[0] for each in pictures])
    dreams, video_seconds = _time(lambda: dream_video(engine, video, recipe, seed=1))
    as_video = [dreams[number] for number in range(count)]
    _save_sheet(f"{name}-{scene}", one_by_one, as_video)
    return {
        "recipe": name,
        "scene": scene,
        "source": measure_flicker(pictures, pictures),
        "one_by_one": measure_flicker(pictures, one_by_one),
        "video": measure_flicker(pictures, as_video),
        "one_by_one_seconds": one_by_one_seconds * VIDEO_RATE / count,
        "video_seconds": video_seconds * VIDEO_RATE / count,
    }


def measure_flicker(pictures: Sequence[Pixels], dreams: Sequence[Pixels]) -> float:
    """Return the mean squared difference of neighbouring dreams, moved as the pictures move, in grey levels squared.

    Over pixels that the flow follows forth and back. Cuts do not count: pairs of which it follows less than half.
    """
    from worker.clips.optical_flow import FlowEstimator

    estimator, errors = FlowEstimator(), []
    for number in range(1, len(pictures)):
        motion = estimator.estimate(pictures[number], pictures[number - 1])
        difference = motion.warp(dreams[number - 1].astype(np.float32)) - dreams[number]
        if motion.is_consistent.mean() > 0.5:
            errors.append(np.square(difference)[motion.is_consistent].mean())
    return float(np.mean(errors))


def _time(make: Callable[[], Any]) -> tuple[Any, float]:
    """Return a result and the processor's seconds that it took, of all cores: others may work beside."""
    started_at = time.process_time()
    return make(), time.process_time() - started_at


def _save_sheet(name: str, *rows: Sequence[Pixels]) -> None:
    height = SHEET_WIDTH * rows[0][0].shape[0] // rows[0][0].shape[1]
    sheet = Image.new("RGB", (SHEET_COLUMNS * SHEET_WIDTH, len(rows) * height))
    for row, pictures in enumerate(rows):
        for column, number in enumerate(np.linspace(0, len(pictures) - 1, SHEET_COLUMNS).round().astype(int)):
            picture = Image.fromarray(pictures[number]).resize((SHEET_WIDTH, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (column * SHEET_WIDTH, row * height))
    ARTIFACTS_FOLDER.mkdir(exist_ok=True)
    sheet.save(ARTIFACTS_FOLDER / f"video-{name.replace(' ', '-')}.png")


if __name__ == "__main__":
    main()
