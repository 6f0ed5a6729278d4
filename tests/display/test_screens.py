"""Screenshots of every page in the three screen sizes, saved to `artefacts/screens/`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from display.pages.share_links import ShareLinks
from shared.art_map import MapPoint
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from tests.display.conftest import PASSCODE, PUBLIC_URL, DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.display.pages.test_art_map import make_art_map
from tests.waiting import wait_until

SCREENSHOT_FOLDER = Path("artefacts/screens")

SCREEN_SIZES = {"wall": (1920, 1080), "laptop": (1440, 900), "phone": (390, 844)}

#: Selectors of elements that exist once a page is drawn, by page.
READY_SELECTORS = {
    "wall": ".wall[data-scene=dream] .dream img",
    "gallery": ".dreams img",
    "map": "body[data-scene=map]",
    "takeaway": "main img",
    "send": ".recipe img",
    "console": "[role=tab]",
}

#: Whether all pictures in view are loaded. Those out of view are perhaps not even asked for.
LOADED_SCRIPT = """[...document.querySelectorAll("img[src]")].every((image) => image.complete
  || !image.checkVisibility() || image.getBoundingClientRect().top > innerHeight)"""


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    overrides = {"passcode": Settings(passcode=PASSCODE).passcode, "public_url": PUBLIC_URL}
    return display_settings.model_copy(update=overrides)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["wall", "phone", "laptop"])
def test_every_page_fits_the_screen_and_is_kept_as_a_picture(
    new_page: Callable[..., Page], display: DisplayProcess, pipeline: FakePipeline, size: str
) -> None:
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    jobs = [pipeline.add_dream((40 * number, 90, 160), thumb=True, map_point=map_point) for number in range(5)]
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    wait_until(lambda: send_request(display, f"/gallery/dreams/{jobs[-1].id}").status == 200, "the dreams are there")
    token = ShareLinks(display.settings).make_token(jobs[-1].id)
    paths = {
        "wall": "/",
        "gallery": "/gallery",
        "map": "/map",
        "takeaway": f"/t/{token}",
        "send": "/send",
        "console": "/console",
    }
    width, height = SCREEN_SIZES[size]
    page = new_page(width, height, reduced_motion="reduce")  # without it everything fades in
    SCREENSHOT_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, path in paths.items():
        page.goto(path)
        if name == "console":
            page.get_by_label("passcode").fill(PASSCODE)
            page.get_by_role("button").click()
        page.wait_for_selector(READY_SELECTORS[name])
        wait_until(lambda: page.evaluate(LOADED_SCRIPT), f"the pictures of the {name} are there")
        file = SCREENSHOT_FOLDER / f"{name}-{size}.png"
        page.screenshot(path=file)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert np.asarray(Image.open(file).convert("L")).std() > 3, f"{name} is empty"
