"""Pictures made by the project from its own sample: the README's, and what guests choose their recipe from."""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from artdream.offline import cells_of
from artdream.sample import read_sample
from artdream.sheet import sheet
from producer.convert import convert
from shared.settings import Settings
from tests.browser import chromium
from tests.stack import Up

PICTURES = Path("docs/pictures")

#: What guests choose from, and its width and height in pixels: thrice what a phone's page gives them.
EXAMPLES, SIZE = Path("display/components/send"), (312, 234)


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


def recipes() -> None:
    """Dream the sample with every recipe whose network is at hand: one by one, and together, the photo first."""
    photo = np.asarray(Image.open(io.BytesIO(convert(read_sample()).jpeg)))
    cells = cells_of(photo, 512, 0, Settings(_env_file=None), Console())
    dreamt = [cell for cell in cells if cell.pixels is not None]
    for cell in dreamt[1:]:
        example = Image.fromarray(cell.pixels).resize(SIZE, Image.Resampling.LANCZOS)
        example.save(EXAMPLES / f"{cell.note}.jpg", quality=78, optimize=True)
    pixels = sheet(dreamt)
    Image.fromarray(pixels).save(PICTURES / "recipes.jpg", quality=85)


if __name__ == "__main__":
    PICTURES.mkdir(parents=True, exist_ok=True)
    recipes()
    wall()
