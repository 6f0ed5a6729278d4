"""Every page can be used by everybody: no rule of WCAG 2.2, levels A and AA, is broken that axe-core can check."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from display.pages.share_links import ShareLinks
from display.web.html import read_component
from shared.appearance import Theme
from shared.printing.prints import PrinterStatus
from shared.printing.table import PrintTable
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from shared.storage.store import Store
from tests.display.conftest import PASSCODE, PUBLIC_URL
from tests.display.console.test_console import log_in, open_tab
from tests.display.fake_pipeline import FakePipeline
from tests.display.pages.test_art_map import make_art_map
from tests.usage_evening import count_comparison, count_evening

pytestmark = pytest.mark.slow

#: Tags of axe-core's rules.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(params=Theme)
def display_settings(request: pytest.FixtureRequest, display_settings: Settings) -> Settings:
    """An event of each theme, with a logo, and an accent that is hard to read on either."""
    event_file = display_settings.data.with_name("event.toml")
    event_file.write_text(
        f'[event]\ntitle = "Long Night"\nsubtitle = "In the museum"\nidle_text = "Send us a photo"\n'
        f'logo = "logo.png"\naccent = "#808080"\ntheme = "{request.param}"\n'
    )
    Image.new("RGB", (300, 100), (128, 128, 128)).save(event_file.with_name("logo.png"))
    overrides = {
        "passcode": Settings(passcode=PASSCODE).passcode,
        "public_url": PUBLIC_URL,
        "event": event_file,
    }
    return display_settings.model_copy(update=overrides)


def assert_is_accessible(page: Page) -> None:
    """Assert that a page breaks no rule, in its present state."""
    results = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    violations = [
        f"{violation['id']}: {violation['help']}: {node['target']} {node['html'][:300]}"
        for violation in results.response["violations"]
        for node in violation["nodes"]
    ]
    assert not violations, "\n".join(violations)


def test_the_wall_is_accessible_without_dreams_with_them_and_while_one_emerges(
    open_page: Callable[..., Page], pipeline: FakePipeline
) -> None:
    page = open_page("/")
    page.wait_for_selector(".wall:not([data-scene=dark])")
    assert_is_accessible(page)
    for blue in (80, 160):
        pipeline.add_dream((20, 40, blue))
    expect(page.locator(".strip img")).to_have_count(2)
    assert_is_accessible(page)
    claim = pipeline.claim_job(pipeline.submit_photo((200, 40, 40)))
    pipeline.publish_frame(claim, 0)
    expect(page.locator('[data-scene="emerging"]')).to_be_visible()
    assert_is_accessible(page)


@pytest.mark.parametrize("path", ["/gallery", "/map", "/send", "/t/unknown", "/mine", "/console"])
def test_a_page_with_nothing_on_it_is_accessible(open_page: Callable[..., Page], path: str) -> None:
    page = open_page(path)
    page.wait_for_selector("body:not([data-scene=dark])")
    assert_is_accessible(page)


def test_a_picture_without_a_name_would_be_noticed(open_page: Callable[..., Page]) -> None:
    page = open_page("/gallery")
    page.evaluate("document.body.append(document.createElement('img'))")
    with pytest.raises(AssertionError, match="image-alt"):
        assert_is_accessible(page)


def test_the_gallery_and_its_dreams_are_accessible(open_page: Callable[..., Page], pipeline: FakePipeline) -> None:
    pipeline.add_dream((20, 40, 80))
    page = open_page("/gallery")
    dream = page.locator(".dreams li").first
    dream.wait_for()
    assert_is_accessible(page)
    dream.get_by_role("button").click()
    page.get_by_role("dialog").wait_for()
    assert_is_accessible(page)


def test_the_map_is_accessible(
    open_page: Callable[..., Page], pipeline: FakePipeline, display_settings: Settings
) -> None:
    Store(display_settings.store).put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    page = open_page("/map")
    page.wait_for_selector("body:not([data-scene=dark])")
    assert_is_accessible(page)


def test_the_upload_page_is_accessible_on_a_phone_with_and_without_a_message(open_page: Callable[..., Page]) -> None:
    page = open_page("/send", 390, 844)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert").or_(page.get_by_role("status")).first).not_to_be_empty()
    assert_is_accessible(page)


def test_a_dream_on_a_phone_is_accessible_also_with_a_printer(
    open_page: Callable[..., Page], pipeline: FakePipeline, display_settings: Settings
) -> None:
    PrintTable(pipeline.client).set_printer(PrinterStatus(name="Booth", state="ready"))
    token = ShareLinks(display_settings).make_url(pipeline.add_dream((20, 40, 80)).id)
    page = open_page((token or "").removeprefix(PUBLIC_URL), 390, 844)
    page.get_by_role("button", name="Print").wait_for()
    assert_is_accessible(page)


@pytest.mark.parametrize("display_settings", [Theme.DARK], indirect=True)  # the console is always dark
@pytest.mark.parametrize("tab", ["Status", "Dreams", "Errors", "Numbers", "Event", "Settings", "Prints"])
def test_the_console_is_accessible(open_page: Callable[..., Page], pipeline: FakePipeline, tab: str) -> None:
    count_evening(pipeline.client, 20)
    count_comparison(pipeline.client, 20, percent=50)
    PrintTable(pipeline.client).set_printer(PrinterStatus(name="Booth", state="ready"))
    pipeline.add_dream((20, 40, 80))
    page = log_in(open_page("/console"))
    open_tab(page, tab)
    page.get_by_role("tabpanel").first.wait_for()
    assert_is_accessible(page)


def test_the_logo_of_the_event_tab_is_accessible_before_its_script_has_run(open_page: Callable[..., Page]) -> None:
    """Seen failing: its buttons had no names until then."""
    html, css = read_component("console/logo_upload.html"), read_component("console/file_choice.css")
    page = open_page("/send")
    page.set_content(f"<html lang='en'><title>Event</title><style>{css}</style>{html}</html>")
    assert_is_accessible(page)
