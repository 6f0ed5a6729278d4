"""Generated paintings of invented artists, each with a style that even a small network learns."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from tests.stack import run_in_process
from worker.training.dataset import Dataset

#: Artist → (mean colour, width of the strokes in pixels).
ARTIST_STYLES: Mapping[str, tuple[tuple[int, int, int], int]] = {
    "Anna Rot": ((190, 70, 60), 3),
    "Bert Blau": ((60, 80, 190), 12),
    "Cleo Grün": ((70, 160, 80), 6),
    "Dora Grau": ((128, 128, 128), 24),
}


def paint(artist: str, number: int, side: int = 96) -> Image.Image:
    """Return a square painting by an artist; each number is another work. side: in pixels."""
    colour, stroke = ARTIST_STYLES[artist]
    rng = np.random.default_rng([number, *artist.encode()])
    strokes = rng.normal(0, 45, (-(-side // stroke), -(-side // stroke), 3)) + np.array(colour)
    picture = Image.fromarray(np.clip(strokes, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    return picture.filter(ImageFilter.GaussianBlur(1))


def paint_folders(folder: Path, count: int, side: int = 96) -> Path:
    """Save `count` works of each artist, in one folder per artist; return `folder`."""
    for artist in ARTIST_STYLES:
        artist_folder = folder / artist.replace(" ", "_")
        artist_folder.mkdir(parents=True)
        for number in range(count):
            paint(artist, number, side).save(artist_folder / f"{number}.png")
    return folder


def build_dataset(folder: Path, count: int) -> Dataset:
    """Build the data set `folder`/data from `count` generated paintings of each artist."""
    paint_folders(folder / "paintings", count)
    build = run_in_process("dataset", "organize", "paintings", "data", "--side", "96", folder=folder)
    assert build.returncode == 0, build.stderr
    return Dataset.open(folder / "data")
