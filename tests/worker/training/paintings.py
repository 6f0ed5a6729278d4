"""Paintings by artists that never lived, each with a hand that even a small network learns to know."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

#: Artist → (colours, width of the strokes in pixels).
ARTIST_STYLES: Mapping[str, tuple[tuple[int, int, int], int]] = {
    "Anna Rot": ((190, 70, 60), 3),
    "Bert Blau": ((60, 80, 190), 12),
    "Cleo Grün": ((70, 160, 80), 6),
    "Dora Grau": ((128, 128, 128), 24),
}


def paint(artist: str, number: int, side: int = 96) -> Image.Image:
    """Return a painting by an artist; each number is another work."""
    colour, stroke = ARTIST_STYLES[artist]
    chance = np.random.default_rng([number, *artist.encode()])
    coarse = chance.normal(0, 45, (-(-side // stroke), -(-side // stroke), 3)) + np.array(colour)
    picture = Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((side, side), Image.Resampling.NEAREST)
    return picture.filter(ImageFilter.GaussianBlur(1))


def paint_folders(folder: Path, count: int, side: int = 96) -> Path:
    """Paint so many works of each artist, a folder for each."""
    for artist in ARTIST_STYLES:
        own = folder / artist.replace(" ", "_")
        own.mkdir(parents=True)
        for number in range(count):
            paint(artist, number, side).save(own / f"{number}.png")
    return folder
