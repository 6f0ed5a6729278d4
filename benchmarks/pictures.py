"""Render the pictures of README and docs, and the examples of the recipe choice, from the sample photo."""

import io
import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page
from rich.console import Console

from artdream.cli.contact_sheet import Cell, draw_contact_sheet
from artdream.cli.dream import render_cells, render_comparison
from artdream.sample import read_sample
from display.printing.content import DEFAULT_ACCENT
from display.printing.paper import PAPERS
from display.printing.sheet import SheetContent, draw_sheet
from producer.decoding.convert import convert
from shared.broker.client import connect
from shared.recipe.painters import CLASSIFIER_NETWORK, DEFAULT_PAINTER_RECIPES, slugify_painter
from shared.recipe.recipe import People, list_recipe_names, load_recipe
from shared.settings import BROKER_FILE, Settings
from tests.browser import launch_chromium
from tests.display.mirror.camera import launch_chromium_with_camera
from tests.stack import RunningStack
from tests.usage_evening import count_comparison, count_evening
from tools.sample_photo.person import draw_person
from worker.dreaming.engine import Engine

PICTURES_FOLDER = Path("docs/pictures")

#: The examples of the recipe choice; their width and height in pixels are three times those on a phone's page.
EXAMPLES_FOLDER, EXAMPLE_SIZE = Path("display/components/upload/examples"), (312, 234)


#: Threshold of moderation that holds some dreams of the sample, a lake; no venue takes one as low.
SHOWCASE_THRESHOLD = 0.02

#: Pixels of one printed sheet's place among all.
SHEET_CELL = 560

#: Painters on the contact sheet.
SHOWCASE_PAINTERS = (
    *("Vincent van Gogh", "Pablo Picasso", "Paul Klee", "Rembrandt", "Gustav Klimt", "Claude Monet", "Joan Miro"),
    *("Albrecht Dürer", "Piet Mondrian", "Edvard Munch", "Frida Kahlo", "Hieronymus Bosch", "Amedeo Modigliani"),
    "William Turner",
)


def capture_installation() -> None:
    """Run the stack on the sample photo, and save screenshots of the wall, of the art map and of the console."""
    folder = Path(tempfile.mkdtemp(prefix="artdream-pictures-"))
    passcode = secrets.token_hex()
    (folder / ".env").write_text(f"ARTDREAM_PASSCODE={passcode}\n", encoding="utf-8")
    try:
        with RunningStack(folder, "--demo", clips=True) as stack, launch_chromium() as browser:
            stack.start()
            page = browser.new_page(viewport={"width": 1600, "height": 900})
            page.goto(stack.url)
            page.wait_for_selector(".dream img[data-dream][data-shown-at]", timeout=60_000)
            page.wait_for_selector(".photo img[data-job-id]")
            page.wait_for_timeout(4000)  # until all transitions have ended
            _save_screenshot(page.screenshot(), "wall")
            page.goto(f"{stack.url}/map")
            page.wait_for_selector(".js-plotly-plot canvas", timeout=60_000)
            page.wait_for_timeout(4000)
            _save_screenshot(page.screenshot(), "map")
            _fill_installation(stack)
            _open_console(page, stack, passcode)
            for tab, height in (("Status", 800), ("Dreams", 700), ("Errors", 460), ("Event", 1000), ("Settings", 960)):
                page.set_viewport_size({"width": 1200, "height": height})
                page.get_by_role("tab", name=tab).click()
                if tab == "Event":
                    _fill_event(page)
                page.wait_for_timeout(4000)
                _save_screenshot(page.screenshot(), f"console-{tab.lower()}")
            with connect((stack.data / BROKER_FILE).read_text(encoding="utf-8").strip()) as client:
                count_evening(client, 300)  # last: its dreams have no pictures
            page.set_viewport_size({"width": 1200, "height": 1520})
            page.reload()
            page.get_by_role("tab", name="Numbers").click()
            page.wait_for_timeout(6000)
            _save_screenshot(page.screenshot(), "console-numbers")
            with connect((stack.data / BROKER_FILE).read_text(encoding="utf-8").strip()) as client:
                count_comparison(client, 420, percent=10)
            page.reload()
            page.get_by_role("tab", name="Numbers").click()
            comparison = page.locator(".version-comparison")
            comparison.wait_for()
            page.wait_for_timeout(6000)
            _save_screenshot(comparison.screenshot(), "console-versions")
    finally:
        shutil.rmtree(folder)


def capture_moderation() -> None:
    """Let moderation hold dreams of the sample, with a low threshold, and save a screenshot of the console."""
    folder = Path(tempfile.mkdtemp(prefix="artdream-pictures-"))
    passcode = secrets.token_hex()
    settings = {"PASSCODE": passcode, "MODERATION": "hold", "MODERATION_THRESHOLD": SHOWCASE_THRESHOLD}
    (folder / ".env").write_text("".join(f"ARTDREAM_{name}={value}\n" for name, value in settings.items()))
    try:
        with RunningStack(folder, "--demo") as stack, launch_chromium() as browser:
            stack.start()
            _fill_installation(stack)
            page = browser.new_page(viewport={"width": 1200, "height": 700})
            _open_console(page, stack, passcode)
            page.get_by_role("tab", name="Dreams").click()
            page.get_by_text("waiting for approval (").wait_for()
            page.wait_for_timeout(4000)
            _save_screenshot(page.screenshot(), "console-moderation")
    finally:
        shutil.rmtree(folder)


def capture_mirror() -> None:
    """Let the sample with a person look into the mirror, in three styles, side by side."""
    folder = Path(tempfile.mkdtemp(prefix="artdream-pictures-"))
    (folder / ".env").write_text("ARTDREAM_MIRROR=true\n", encoding="utf-8")
    try:
        with RunningStack(folder) as stack, launch_chromium_with_camera(folder) as browser:
            stack.start()
            page = browser.new_page(viewport={"width": 800, "height": 600})
            page.goto(f"{stack.url}/mirror?rotate=0")
            screenshots = []
            for _ in range(3):
                page.wait_for_selector("body[data-scene=mirror][data-idle]", timeout=60_000)
                page.wait_for_timeout(4000)  # until the styles have faded, and the arrows
                screenshots.append(Image.open(io.BytesIO(page.screenshot())))
                page.keyboard.press("ArrowRight")
    finally:
        shutil.rmtree(folder)
    sheet = Image.new("RGB", (3 * 800, 600))
    for number, screenshot in enumerate(screenshots):
        sheet.paste(screenshot, (800 * number, 0))
    sheet.resize((1600, 400), Image.Resampling.LANCZOS).save(PICTURES_FOLDER / "mirror.jpg", quality=85)


def _open_console(page: Page, stack: RunningStack, passcode: str) -> None:
    page.goto(f"{stack.url}/console")
    page.get_by_label("Passcode").fill(passcode)
    page.get_by_role("button").click()


def _fill_event(page: Page) -> None:
    """Fill in the form of an event, without saving it."""
    page.get_by_text("light", exact=True).click()
    for label, text in {"Title": "Long Night of the Museums", "Subtitle": "Municipal Gallery, June 14"}.items():
        page.get_by_label(label, exact=True).fill(text)
        page.get_by_label(label, exact=True).press("Tab")


def _fill_installation(stack: RunningStack) -> None:
    """Let three parts of the sample dream, and have a file rejected, so that the console has something to show."""
    photo = Image.fromarray(_load_sample())
    width, height = photo.size
    for number, left in enumerate((0, width // 4, width // 2)):
        jpeg = io.BytesIO()
        photo.crop((left, 0, left + width // 2, height)).save(jpeg, "JPEG", quality=95)
        stack.drop_file(f"IMG_{1042 + number}.JPG", jpeg.getvalue())
    stack.drop_file("IMG_1045.HEIC", read_sample()[:20_000])
    stack.wait_until(lambda: len(stack.list_completed()) == 4 and "Rejected: IMG_1045.HEIC" in stack.read_output())


def _save_screenshot(screenshot: bytes, name: str) -> None:
    Image.open(io.BytesIO(screenshot)).convert("RGB").save(PICTURES_FOLDER / f"{name}.jpg", quality=85)


def render_painters() -> None:
    """Render the sample in the style of some painters, and the examples of the default painters' recipes."""
    photo, engine = _load_sample(), Engine.from_settings(Settings(_env_file=None), None)
    cells = [Cell("The photo", "", photo)]
    for painter in SHOWCASE_PAINTERS:
        cells.append(
            Cell(painter, "", engine.dream(photo, load_recipe(f"more-{slugify_painter(painter)}"), seed=0).pixels)
        )
    Image.fromarray(draw_contact_sheet(cells)).save(PICTURES_FOLDER / "painters.jpg", quality=85)
    for name in DEFAULT_PAINTER_RECIPES:
        _save_example(name, engine.dream(photo, load_recipe(name), seed=0).pixels)


def render_network_comparison() -> None:
    """Render the sample with two networks, for docs/representation.md."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "lake.heic")
        source.write_bytes(read_sample())
        layers = ["block5", "block8", "block10", "block12", "head"]
        render_comparison(
            source,
            PICTURES_FOLDER / "compared.jpg",
            (CLASSIFIER_NETWORK, "lite"),
            layers,
            512,
            Settings(_env_file=None),
            Console(),
        )


def render_sheets() -> None:
    """Draw the sheets of the sample photo and its dream, upright, on their side and as a panorama, side by side."""
    photo, engine = _load_sample(), Engine.from_settings(Settings(_env_file=None), None)
    height, width = photo.shape[:2]
    shapes = (
        photo,
        np.ascontiguousarray(photo[:, width // 2 - height * 3 // 8 : width // 2 + height * 3 // 8]),
        np.ascontiguousarray(photo[height // 2 - width // 6 : height // 2 + width // 6]),
    )
    paper, sheets = PAPERS["10x15"], []
    for shape in shapes:
        dream = Image.fromarray(engine.dream(shape, load_recipe("more-vincent-van-gogh"), seed=0).pixels)
        content = SheetContent(
            dream,
            Image.fromarray(shape),
            "A Night of Dreams",
            "Kunsthalle, 29 November 2026",
            accent=DEFAULT_ACCENT,
            link="https://dream.example.org/t/" + "0123456789" * 4,
        )
        sheets += [draw_sheet(name, paper, content) for name in ("postcard", "photo-and-dream", "dream")]
    page = Image.new("RGB", (3 * SHEET_CELL, 3 * SHEET_CELL), "#8a8580")
    for index, sheet in enumerate(sheets):
        sheet.thumbnail((SHEET_CELL - 40, SHEET_CELL - 40), Image.Resampling.LANCZOS)
        left, top = (index // 3) * SHEET_CELL, (index % 3) * SHEET_CELL
        page.paste(sheet, (left + (SHEET_CELL - sheet.width) // 2, top + (SHEET_CELL - sheet.height) // 2))
    page.save(PICTURES_FOLDER / "sheets.jpg", quality=85)


def _load_sample() -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(convert(read_sample()).jpeg)))


def _save_example(name: str, pixels: NDArray[np.uint8]) -> None:
    example = Image.fromarray(pixels).resize(EXAMPLE_SIZE, Image.Resampling.LANCZOS)
    example.save(EXAMPLES_FOLDER / f"{name}.jpg", quality=78, optimize=True)


def render_people() -> None:
    """Render a person in front of the sample with the recipes that look for people, as examples and side by side."""
    photo = np.asarray(draw_person(Image.fromarray(_load_sample())))
    engine, cells = Engine.from_settings(Settings(_env_file=None), None), [Cell("The photo", "", photo)]
    for name in list_recipe_names():
        if isinstance((recipe := load_recipe(name)).mask, People):
            dream = engine.dream(photo, recipe, seed=0).pixels
            cells.append(Cell(recipe.title, name, dream))
            _save_example(name, dream)
    Image.fromarray(draw_contact_sheet(cells, columns=len(cells))).save(PICTURES_FOLDER / "people.jpg", quality=85)


def render_recipes() -> None:
    """Render the sample with every other recipe whose network is available, as examples and as a contact sheet."""
    names = [name for name in list_recipe_names() if not isinstance(load_recipe(name).mask, People)]
    cells = render_cells(_load_sample(), names, 512, 0, Settings(_env_file=None), Console())
    rendered = [cell for cell in cells if cell.pixels is not None]
    for cell in rendered[1:]:
        if cell.pixels is not None:
            _save_example(cell.note, cell.pixels)
    pixels = draw_contact_sheet(rendered)
    Image.fromarray(pixels).save(PICTURES_FOLDER / "recipes.jpg", quality=85)


RENDERERS = {
    "recipes": render_recipes,
    "people": render_people,
    "painters": render_painters,
    "compared": render_network_comparison,
    "sheets": render_sheets,
    "installation": capture_installation,
    "moderation": capture_moderation,
    "mirror": capture_mirror,
}

if __name__ == "__main__":
    PICTURES_FOLDER.mkdir(parents=True, exist_ok=True)
    for chosen in sys.argv[1:] or RENDERERS:
        RENDERERS[chosen]()
