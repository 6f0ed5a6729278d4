"""Moderation by a network: the time of a score, and what of a folder is held at which threshold, dreamt or not."""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from benchmarks.report import describe_hardware, percentile, publish
from shared.recipe.canvas import scale_to_long_side
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from tests.pictures import make_portrait
from worker.dreamer import Frame, Pixels
from worker.networks.open_nsfw import OpenNsfw

#: Pixels: long sides of working photos, and of the large dreams of painters.
PHOTO_SIDE, DREAM_SIDE = 640, 1536

THRESHOLDS = (0.1, 0.2, 0.3, 0.5, 0.8, 0.95)

SUFFIXES = {".jpg", ".jpeg", ".png"}


class ScoredDream(NamedTuple):
    """The scores of a photo, of its frames and of its dream."""

    photo: float
    frames: list[float]
    dream: float

    @property
    def highest(self) -> float:
        """The score by which the dream is held or not."""
        return max(self.photo, self.dream, *self.frames)


def measure_times(network: OpenNsfw, rounds: int) -> None:
    """Measure the score of a photo and of a large dream, and publish the seconds of the wall and of the processor."""
    rows, milliseconds = [], {}
    for side in (PHOTO_SIDE, DREAM_SIDE):
        picture = make_portrait(side, side * 3 // 4)
        wall, processor = zip(*(_measure(lambda: network.score(picture)) for _ in range(rounds)), strict=True)  # noqa: B023
        milliseconds[side] = [round(1000 * min(seconds), 1) for seconds in (wall, processor)]
        rows.append([f"{side} × {side * 3 // 4}", *(f"{value:.1f}" for value in milliseconds[side])])
    publish("moderation", ("picture", "ms", "processor's ms"), rows, {"milliseconds": milliseconds})


def _measure(action: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


def iterate_photos(folder: Path, count: int, seed: int) -> Iterator[tuple[Path, Pixels]]:
    """Yield some pictures of a folder and its subfolders, drawn at random, at the size of working photos."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    chosen = np.random.default_rng(seed).permutation(len(paths))[:count]
    for index in chosen:
        with Image.open(paths[index]) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        size = scale_to_long_side(*upright.size, min(PHOTO_SIDE, max(upright.size)))
        yield paths[index], np.asarray(upright.resize(size))


def score_folder(network: OpenNsfw, photos: Iterator[tuple[Path, Pixels]]) -> None:
    """Print how many pictures are held at each threshold, and the highest scores."""
    scores = {path: network.score(photo) for path, photo in photos}
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    for path in ranked[:20]:
        print(f"{scores[path]:.3f} {path.name}")
    _print_held("pictures", [*scores.values()])


def score_dreams(network: OpenNsfw, photos: Iterator[tuple[Path, Pixels]], recipes: Sequence[str]) -> None:
    """Dream each photo with each recipe, score every frame, and print how many dreams are held at each threshold."""
    from worker.dreaming.engine import Engine

    engine = Engine.from_settings(Settings(_env_file=None), None)
    dreams: list[ScoredDream] = []
    for path, photo in photos:
        for name in recipes:
            frames: list[float] = []

            def score_frame(frame: Frame, frames: list[float] = frames) -> None:
                frames.append(network.score(frame.pixels))

            photo_score = network.score(photo)
            dream = engine.dream(photo, load_recipe(name), seed=0, on_frame=score_frame)
            dreams.append(scored := ScoredDream(photo_score, frames, network.score(dream.pixels)))
            print(f"{photo_score:.3f} → {max(frames):.3f} → {scored.dream:.3f} {name} {path.name}", flush=True)
    _print_held("photos alone", [dream.photo for dream in dreams])
    _print_held("photo and dream", [max(dream.photo, dream.dream) for dream in dreams])
    _print_held("photo, frames and dream", [dream.highest for dream in dreams])


def _print_held(title: str, scores: Sequence[float]) -> None:
    held = ", ".join(f"{threshold:g}: {sum(score >= threshold for score in scores)}" for threshold in THRESHOLDS)
    print(f"{title}, of {len(scores)} held by threshold: {held}; median {percentile(scores, 0.5):.3f}")


def main() -> None:
    """Measure, or look through a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="pictures to score; without one, time is measured")
    parser.add_argument("--recipe", action="append", default=[], help="dream each of them with this recipe, too")
    parser.add_argument("--count", type=int, default=400, help="pictures, drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20, help="runs of which the best counts")
    arguments = parser.parse_args()
    network = OpenNsfw()
    if arguments.folder is None:
        measure_times(network, arguments.rounds)
        return
    print(describe_hardware())
    photos = iterate_photos(arguments.folder, arguments.count, arguments.seed)
    if arguments.recipe:
        score_dreams(network, photos, arguments.recipe)
    else:
        score_folder(network, photos)


if __name__ == "__main__":
    main()
