"""Do dreams by artist look like the artist? Asked of a second network, which had no part in them.

The judge is trained apart, on another split with another seed:

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

#: Artists of those that the bundled network knows: every so many in the order of their names.
ARTIST_COUNT, ARTIST_STRIDE = 20, len(PAINTERS) / 20


def rank(judge: Network, pixels: np.ndarray, artist: str) -> int:
    """Return at which place a judge names an artist for a picture, from 1."""
    seen = judge.predict_probabilities(pixels)
    return 1 + int(np.sum(seen > seen[judge.class_index(artist)]))


def main() -> None:
    """Dream each photo as each artist, and ask the judge about photos and dreams."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--judge", required=True)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--kind", default="more")
    chosen = parser.parse_args()
    settings = Settings.read()
    networks = open_networks(settings)
    judge, engine = networks.load(chosen.judge), Engine(networks, ReferenceImages())
    artists = [PAINTERS[int(index * ARTIST_STRIDE)] for index in range(ARTIST_COUNT)]
    files = sorted(path for path in chosen.photos.iterdir() if path.suffix.lower() in (".jpg", ".heic"))[: chosen.count]
    before, after, own, seconds, cells = [], [], [], [], []
    for number, file in enumerate(files):
        photo = np.asarray(Image.open(io.BytesIO(convert(file.read_bytes()).jpeg)))
        if number == 0:
            cells.append(Cell("The photo", "", photo))
        for artist in artists:
            recipe = load_recipe(f"{chosen.kind}-{slugify_painter(artist)}")
            started = time.perf_counter()
            dreamt = engine.dream(photo, recipe, seed=0)
            seconds.append(time.perf_counter() - started)
            before.append(rank(judge, photo, artist))
            after.append(rank(judge, dreamt.pixels, artist))
            own.append(dreamt.class_probabilities[0].dream)
            if number == 0:
                cells.append(Cell(artist, f"the judge’s number {after[-1]}", dreamt.pixels))
    found = {
        "photos": len(files),
        "artists": len(artists),
        "judge": chosen.judge,
        "photo top-1": float(np.mean(np.array(before) == 1)),
        "photo top-5": float(np.mean(np.array(before) <= 5)),
        "dream top-1": float(np.mean(np.array(after) == 1)),
        "dream top-5": float(np.mean(np.array(after) <= 5)),
        "sure, by itself": float(np.mean(own)),
        "seconds, median": float(np.median(seconds)),
        "by artist": {
            artist: float(np.mean(np.array(after)[index :: len(artists)] <= 5)) for index, artist in enumerate(artists)
        },
    }
    rows = [
        ("the photo alone", f"{found['photo top-1']:.0%}", f"{found['photo top-5']:.0%}"),
        ("the dream", f"{found['dream top-1']:.0%}", f"{found['dream top-5']:.0%}"),
        ("by chance", f"{1 / len(PAINTERS):.0%}", f"{5 / len(PAINTERS):.0%}"),
    ]
    publish("artists", ("the judge names the artist", "first", "among five"), rows, found)
    Image.fromarray(draw_contact_sheet(cells)).save(ARTIFACTS_FOLDER / "bench-artists.jpg", quality=88)


if __name__ == "__main__":
    main()
