"""The links between the pages: a guest finds gallery, map and upload page from each of them."""

import os
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from shared.guest_upload_names import GUEST_UPLOADS_FOLDER
from shared.settings import Settings
from tests.display.conftest import DisplayProcess

NAMES = {"/gallery": "Dreams", "/map": "Art map", "/send": "Let a photo dream"}

#: What only the pages of the guests' phones lead to.
MINE = "My pictures"


@pytest.mark.parametrize("path", NAMES)
def test_each_page_leads_to_the_others_in_its_language(path: str, open_page: Callable[..., Page]) -> None:
    """Seen failing: no page had a link to another."""
    page = open_page(path, 390, 844)
    links = page.get_by_role("navigation").get_by_role("link")
    others = [name for other, name in NAMES.items() if other != path]
    expect(links).to_have_text([*others, MINE] if path == "/send" else others)
    page.goto(f"{path}?lang=de")
    links.first.click()
    page.wait_for_url("**?lang=de")
    expect(page.locator("html")).to_have_attribute("lang", "de")


def test_no_page_leads_to_one_that_takes_no_photos(
    open_page: Callable[..., Page], display: DisplayProcess, display_settings: Settings
) -> None:
    os.utime(display_settings.data / GUEST_UPLOADS_FOLDER / ".producer", (0, 0))  # its producer has ended
    links = open_page("/gallery").get_by_role("navigation").get_by_role("link")
    expect(links).to_have_text(["Art map"])


def test_the_wall_has_no_links(wall: Page) -> None:
    expect(wall.locator(".wall a")).to_have_count(0)
