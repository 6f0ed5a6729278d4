"""Pictures made by the project from its own sample: the README's, and what guests choose their recipe from."""

import io
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console

from artdream.cli.contact_sheet import Cell, sheet
from artdream.cli.dream import cells_of, compare_file
from artdream.sample import read_sample
from producer.decoding.convert import convert
from shared.recipe.painters import BUNDLED_NETWORK, DEFAULT_PAINTER_RECIPES, slugify_painter
from shared.recipe.recipe import list_recipe_names, load_recipe
from shared.settings import Settings
from tests.browser import chromium
from tests.stack import Up
from worker.dreaming.engine import Engine

PICTURES = Path("docs/pictures")

#: What guests choose from, and its width and height in pixels: thrice what a phone's page gives them.
EXAMPLES, SIZE = Path("display/components/upload/examples"), (312, 234)


#: Painters that are shown beside each other.
SHOWN = (
    *("Vincent van Gogh", "Pablo Picasso", "Paul Klee", "Rembrandt", "Gustav Klimt", "Claude Monet", "Joan Miro"),
    *("Albrecht Dürer", "Piet Mondrian", "Edvard Munch", "Frida Kahlo", "Hieronymus Bosch", "Amedeo Modigliani"),
    "William Turner",
)


def installation() -> None:
    """Run the stack on the sample, and keep what hangs on the wall, and where the dream lies on the art map."""
    folder = Path(tempfile.mkdtemp(prefix="artdream-pictures-"))
    try:
        with Up(folder, "--demo", clips=True) as up, chromium() as browser:
            up.start()
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.goto(up.url)
            page.wait_for_selector(".dream img[data-dream][data-shown-at]", timeout=60_000)
            page.wait_for_selector(".photo img[data-job-id]")
            page.wait_for_timeout(4000)  # until everything has faded in
            _keep(page.screenshot(), "wall")
            page.goto(f"{up.url}/map")
            page.wait_for_selector(".js-plotly-plot canvas", timeout=60_000)
            page.wait_for_timeout(4000)
            _keep(page.screenshot(), "map")
    finally:
        shutil.rmtree(folder)


def _keep(screenshot: bytes, name: str) -> None:
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(PICTURES / f"{name}.jpg", quality=85)


def painters() -> None:
    """Dream the sample as some painters, side by side, and as those of the rotation, for guests to choose from."""
    photo, engine = _sample(), Engine.from_settings(Settings(_env_file=None), None)
    cells = [Cell("The photo", "", photo)]
    for painter in SHOWN:
        cells.append(
            Cell(painter, "", engine.dream(photo, load_recipe(f"more-{slugify_painter(painter)}"), seed=0).pixels)
        )
    Image.fromarray(sheet(cells)).save(PICTURES / "painters.jpg", quality=85)
    for name in DEFAULT_PAINTER_RECIPES:
        _example(name, engine.dream(photo, load_recipe(name), seed=0).pixels)


def compared() -> None:
    """Dream the sample through two networks, for docs/representation.md."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "lake.heic")
        source.write_bytes(read_sample())
        layers = ["block5", "block8", "block10", "block12", "head"]
        compare_file(
            source,
            PICTURES / "compared.jpg",
            (BUNDLED_NETWORK, "lite"),
            layers,
            512,
            Settings(_env_file=None),
            Console(),
        )


def _sample() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(convert(read_sample()).jpeg)))


def _example(name: str, pixels: NDArray[np.uint8]) -> None:
    example = Image.fromarray(pixels).resize(SIZE, Image.Resampling.LANCZOS)
    example.save(EXAMPLES / f"{name}.jpg", quality=78, optimize=True)


def recipes() -> None:
    """Dream the sample with every recipe whose network is at hand: one by one, and together, the photo first."""
    cells = cells_of(_sample(), list_recipe_names(), 512, 0, Settings(_env_file=None), Console())
    dreamt = [cell for cell in cells if cell.pixels is not None]
    for cell in dreamt[1:]:
        if cell.pixels is not None:
            _example(cell.note, cell.pixels)
    pixels = sheet(dreamt)
    Image.fromarray(pixels).save(PICTURES / "recipes.jpg", quality=85)


MAKERS = {"recipes": recipes, "painters": painters, "compared": compared, "installation": installation}

if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    for chosen in sys.argv[1:] or MAKERS:
        MAKERS[chosen]()
