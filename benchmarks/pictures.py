"""The README's pictures, made by the project from its own sample: the wall, and the sample in every recipe."""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from artdream.sample import read_sample
from producer.convert import convert
from shared.recipe import load_recipe, recipe_names
from tests.browser import chromium
from tests.stack import Up
from worker.silence import silence

PICTURES = Path("docs/pictures")

#: Pixels between the cells of the sheet, and their width.
GAP, CELL = 6, 420


def wall() -> None:
    """Run the stack on the sample and keep what hangs on the wall, as docs/pictures/wall.jpg."""
    folder = Path(tempfile.mkdtemp(prefix="artdream-pictures-"))
    up = Up(folder, "--demo")
    try:
        up.start()
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.goto(up.url)
            page.wait_for_selector(".dream img[data-dream][data-shown-at]", timeout=60_000)
            page.wait_for_selector(".photo img[data-job-id]")
            page.wait_for_timeout(4000)  # until everything has faded in
            picture = Image.open(io.BytesIO(page.screenshot()))
    finally:
        if up.running:
            up.interrupt()
        shutil.rmtree(folder)
    picture.convert("RGB").save(PICTURES / "wall.jpg", quality=85)


def sheet() -> None:
    """Dream the sample with every recipe, as docs/pictures/recipes.jpg: the photo first."""
    with silence():
        from worker.dream import dream
    photo = Image.open(io.BytesIO(convert(read_sample()).jpeg))
    pixels = np.asarray(photo)
    cells = [photo, *(Image.fromarray(dream(pixels, load_recipe(name), seed=0)) for name in recipe_names())]
    height = round(CELL * photo.height / photo.width)
    whole = Image.new("RGB", (len(cells) * (CELL + GAP) - GAP, height), "white")
    for column, cell in enumerate(cells):
        whole.paste(cell.resize((CELL, height), Image.Resampling.LANCZOS), (column * (CELL + GAP), 0))
    whole.save(PICTURES / "recipes.jpg", quality=88)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    sheet()
    wall()
