"""Do dreams in an artist's style look like that artist? Measured with a second network, the judge.

The judge is trained separately, on another split of the data, with another seed:

    artdream dataset organise PAINTINGS judge-data --seed 1
    artdream train --data judge-data --out artist/judge --seed 1
    make bench-artists ARGS="--judge artist/judge --photos FOLDER"
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image

from artdream.cli.contact_sheet import Cell, draw_contact_sheet
from artdream.cli.networks import open_networks
from benchmarks.report import ARTIFACTS_FOLDER, publish
from producer.decoding.convert import convert
from shared.recipe.painters import PAINTERS, slugify_painter
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from worker.dreaming.engine import Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.networks.network import Network

#: Artists out of those that the bundled network knows: every ARTIST_STRIDE-th in alphabetical order.
ARTIST_COUNT, ARTIST_STRIDE = 20, len(PAINTERS) / 20


def rank(judge: Network, pixels: np.ndarray, artist: str) -> int:
    """Return the rank of an artist in a judge's prediction for a picture; 1 is the most probable."""
    probabilities = judge.predict_probabilities(pixels)
    return 1 + int(np.sum(probabilities > probabilities[judge.class_index(artist)]))


def main() -> None:
    """Render each photo in the style of each artist, rank photos and dreams with the judge, and publish."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--judge", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--kind", default="more")
    arguments = parser.parse_args()
    settings = Settings.read()
    networks = open_networks(settings)
    judge, engine = networks.load(arguments.judge), Engine(networks, ReferenceImages())
    artists = [PAINTERS[int(index * ARTIST_STRIDE)] for index in range(ARTIST_COUNT)]
    files = sorted(path for path in arguments.photos.iterdir() if path.suffix.lower() in (".jpg", ".heic"))[
        : arguments.count
    ]
    photo_ranks, dream_ranks, dream_probabilities, seconds, cells = [], [], [], [], []
    for number, file in enumerate(files):
        photo = np.asarray(Image.open(io.BytesIO(convert(file.read_bytes()).jpeg)))
        if number == 0:
            cells.append(Cell("The photo", "", photo))
        for artist in artists:
            recipe = load_recipe(f"{arguments.kind}-{slugify_painter(artist)}")
            started = time.perf_counter()
            dreamt = engine.dream(photo, recipe, seed=0)
            seconds.append(time.perf_counter() - started)
            photo_ranks.append(rank(judge, photo, artist))
            dream_ranks.append(rank(judge, dreamt.pixels, artist))
            dream_probabilities.append(dreamt.class_probabilities[0].dream)
            if number == 0:
                cells.append(Cell(artist, f"the judge’s number {dream_ranks[-1]}", dreamt.pixels))
    facts = {
        "photos": len(files),
        "artists": len(artists),
        "judge": arguments.judge,
        "photo top-1": float(np.mean(np.array(photo_ranks) == 1)),
        "photo top-5": float(np.mean(np.array(photo_ranks) <= 5)),
        "dream top-1": float(np.mean(np.array(dream_ranks) == 1)),
        "dream top-5": float(np.mean(np.array(dream_ranks) <= 5)),
        "sure, by itself": float(np.mean(dream_probabilities)),
        "seconds, median": float(np.median(seconds)),
        "by artist": {
            artist: float(np.mean(np.array(dream_ranks)[index :: len(artists)] <= 5))
            for index, artist in enumerate(artists)
        },
    }
    rows = [
        ("the photo alone", f"{facts['photo top-1']:.0%}", f"{facts['photo top-5']:.0%}"),
        ("the dream", f"{facts['dream top-1']:.0%}", f"{facts['dream top-5']:.0%}"),
        ("by chance", f"{1 / len(PAINTERS):.0%}", f"{5 / len(PAINTERS):.0%}"),
    ]
    publish("artists", ("the judge names the artist", "first", "among five"), rows, facts)
    Image.fromarray(draw_contact_sheet(cells)).save(ARTIFACTS_FOLDER / "bench-artists.jpg", quality=88)


if __name__ == "__main__":
    main()
