"""Do dreams look like paintings, and like those of the painter they are named after?

Photos are dreamt as painters, and each dream is compared with its photo and with paintings:

    make bench-artists ARGS="--photos FOLDER --paintings FOLDER [--critic artist/NAME] [--painters 10]"

The critic is a network that no recipe dreams through. A second judge is fitted in each run, on the statistics of the
paintings in `lite`; what it says of paintings that were held back stands beside what it says of dreams, and of blurred
copies of both. What was measured of the paintings is kept, and so are the dreams, as long as the code that makes them
is the same: a run that was killed is continued.
"""

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from artdream.cli.contact_sheet import Cell
from artdream.cli.progress import show_progress_bar
from benchmarks.report import ARTIFACTS_FOLDER
from producer.decoding.convert import convert
from shared.errors import ArtDreamError
from shared.recipe.painters import CRITIC_NETWORK, DEFAULT_PAINTER_RECIPES, PAINTERS, RECIPE_KINDS, slugify_painter
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.storage.store import Store
from worker.networks.class_names import normalize_name
from worker.quiet_import import quiet_import

with quiet_import():
    from benchmarks.artists_report import draw_sheet, publish_painters, publish_recipes
    from benchmarks.dream_comparison import DreamComparison, DreamFigures, PaintingComparison
    from benchmarks.kept_dreams import KeptDreams, digest_code
    from benchmarks.layer_statistics import STATISTICS_NETWORK, LayerStatistics
    from benchmarks.painter_works import PainterWorks
    from worker.dreamer import Pixels
    from worker.dreaming.engine import Engine
    from worker.dreaming.reference_images import ReferenceImages
    from worker.networks import Networks
    from worker.networks.network import Network

#: Photos that are dreamt by default.
PHOTO_COUNT = 12

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".heic", ".heif"})

#: Painters on the contact sheet, letters of a photo's name there, and quality of its JPEG.
SHEET_PAINTERS, MAX_NAME_LENGTH, SHEET_QUALITY = 6, 36, 88

#: What is kept from run to run.
CACHE_FOLDER = ARTIFACTS_FOLDER / "artists"

CHECKOUT = Path(__file__).parents[1]


def choose_photos(folders: Sequence[Path], count: int) -> list[Path]:
    """Return so many photos, or all, evenly spaced in the order of their names: neighbours are often alike.

    Raises ArtDreamError if there are none.
    """
    files = [
        path
        for folder in folders
        for path in (sorted(folder.iterdir()) if folder.is_dir() else ())
        if path.suffix.lower() in PHOTO_SUFFIXES
    ]
    if not files:
        raise ArtDreamError(f"There are no JPEG or HEIC photos in {', '.join(map(str, folders))}: name another folder.")
    count = min(count, len(files))
    return [files[index * len(files) // count] for index in range(count)]


def choose_painters(values: Sequence[str]) -> list[str]:
    """Return the painters of some names; of one number, so many painters, evenly spaced in their order.

    Raises ArtDreamError for a name that is none of PAINTERS.
    """
    if len(values) == 1 and values[0].isdecimal():
        count = min(int(values[0]), len(PAINTERS))
        return [PAINTERS[index * len(PAINTERS) // count] for index in range(count)]
    by_name = {normalize_name(painter): painter for painter in PAINTERS}
    if unknown := [value for value in values if normalize_name(value) not in by_name]:
        raise ArtDreamError(f"There are no recipes of a painter “{unknown[0]}”: `artdream recipes` lists all.")
    return [by_name[normalize_name(value)] for value in values]


def name_photo(path: Path) -> str:
    """Return the name of a photo in figures, which does not say where on this machine it lies."""
    return f"{path.parent.name}/{path.name}"


def load_photo(path: Path) -> Pixels:
    """Return a photo as a worker gets it. Raises ArtDreamError if it cannot be decoded."""
    return np.asarray(Image.open(io.BytesIO(convert(path.read_bytes()).jpeg)))


def load_critic(networks: Networks, name: str, used_networks: Mapping[str, str]) -> Network:
    """Load the network that judges. used_networks: name → digest of those that recipes dream through.

    Raises ArtDreamError if it is one of them.
    """
    critic = networks.load(name)
    if critic.digest in used_networks.values():
        raise ArtDreamError(f"The recipes dream through {name}, which would judge its own work: name another critic.")
    return critic


def measure_dreams(
    photos: Sequence[Path],
    recipes: Sequence[tuple[Recipe, str | None]],
    dreams: KeptDreams,
    networks: Networks,
    comparison: PaintingComparison | None,
) -> list[DreamFigures]:
    """Dream each photo with each recipe, and measure the dreams.

    recipes: with the painter whom a dream is compared with, if there is any. comparison: needed for painters.
    """
    figures = []
    for path in photos:
        compared = DreamComparison(name_photo(path), load_photo(path), comparison)
        for recipe, painter in recipes:
            dream = dreams.dream(compared.photo, recipe, networks.load(recipe.network).digest)
            figures.append(compared.measure(recipe, painter, dream))
            print(f"{path.name}: {figures[-1].describe()}", file=sys.stderr, flush=True)
    return figures


def list_sheet_rows(
    photos: Sequence[Path],
    recipes: Mapping[str, Recipe],
    dreams: KeptDreams,
    networks: Networks,
    figures: Sequence[DreamFigures],
) -> list[list[Cell]]:
    """Return the cells of the contact sheet: each photo, and its dreams as some of the painters.

    recipes: by painter.
    """
    painters = choose_sheet_painters(list(recipes))
    verdicts = {(dream.photo, dream.painter): dream.verdict for dream in figures}
    rows = []
    for path in photos:
        photo = load_photo(path)
        row = [Cell(path.stem[-MAX_NAME_LENGTH:], "", photo)]
        for painter in painters:
            recipe = recipes[painter]
            dream = dreams.dream(photo, recipe, networks.load(recipe.network).digest)
            row.append(Cell(painter, verdicts[name_photo(path), painter], dream.pixels))
        rows.append(row)
    return rows


def choose_sheet_painters(painters: Sequence[str]) -> list[str]:
    """Return the painters on the contact sheet: those of the default recipes first, then others, evenly spaced."""
    default_slugs = {recipe.partition("-")[2] for recipe in DEFAULT_PAINTER_RECIPES}
    chosen = [painter for painter in painters if slugify_painter(painter) in default_slugs][:SHEET_PAINTERS]
    others = [painter for painter in painters if painter not in chosen]
    count = min(SHEET_PAINTERS - len(chosen), len(others))
    return chosen + [others[index * len(others) // count] for index in range(count)]


def main() -> None:
    """Dream, compare, and publish."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders of JPEG and HEIC photos")
    parser.add_argument("--count", type=int, default=PHOTO_COUNT, help="how many of the photos (%(default)s)")
    parser.add_argument("--paintings", type=Path, help="a folder with a folder for each painter")
    parser.add_argument(
        "--painters", nargs="+", default=[str(len(PAINTERS))], help="how many of the painters, or their names (all)"
    )
    parser.add_argument("--kind", choices=RECIPE_KINDS, default="more", help="which recipe of a painter (%(default)s)")
    parser.add_argument("--recipes", nargs="+", default=[], help="other recipes, of which only spectra are measured")
    parser.add_argument(
        "--critic", default=CRITIC_NETWORK, help="a network of painters that no recipe dreams through (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=ARTIFACTS_FOLDER / "bench-artists.jpg", help="the contact sheet (%(default)s)"
    )
    arguments = parser.parse_args()
    try:
        run(arguments)
    except ArtDreamError as error:
        raise SystemExit(str(error)) from error


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line says. Raises ArtDreamError if an input cannot be used."""
    load = os.getloadavg()[0]
    painters, photos = choose_painters(arguments.painters), choose_photos(arguments.photos, arguments.count)
    settings = Settings.read()
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    networks = Networks(settings.weights, store, settings.precision)
    painter_recipes = {painter: load_recipe(f"{arguments.kind}-{slugify_painter(painter)}") for painter in painters}
    other_recipes = [load_recipe(name) for name in arguments.recipes]
    dreams = KeptDreams(CACHE_FOLDER / "dreams", Engine(networks, ReferenceImages(store)), digest_code(CHECKOUT))
    if painters:
        if not arguments.paintings:
            raise ArtDreamError("Dreams are compared with paintings: name their folder, --paintings, or --painters 0.")
        used_networks = {recipe.network: networks.load(recipe.network).digest for recipe in painter_recipes.values()}
        critic = load_critic(networks, arguments.critic, used_networks) if arguments.critic else None
        lite = Networks(settings.weights, store, "float32").load(STATISTICS_NETWORK)
        statistics = LayerStatistics(lite)
        with show_progress_bar("paintings", Console(stderr=True)) as on_progress:
            works = PainterWorks.measure(arguments.paintings, statistics, lite.digest, CACHE_FOLDER, on_progress)
        comparison = PaintingComparison(works, statistics, critic)
        figures = measure_dreams(
            photos, [(recipe, painter) for painter, recipe in painter_recipes.items()], dreams, networks, comparison
        )
        publish_painters(figures, comparison, used_networks, load)
        sheet = draw_sheet(list_sheet_rows(photos, painter_recipes, dreams, networks, figures))
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet).save(arguments.out, quality=SHEET_QUALITY)
    if other_recipes:
        figures = measure_dreams(photos, [(recipe, None) for recipe in other_recipes], dreams, networks, None)
        publish_recipes(figures, load)


if __name__ == "__main__":
    main()
