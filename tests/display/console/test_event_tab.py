"""The console's Event tab: what the operator says of an event is on the wall in seconds, after a preview."""

import io
from collections.abc import Callable

import pytest
import redis
from PIL import Image
from playwright.sync_api import Page, expect

from shared.appearance import Appearance, Theme
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from tests.display.conftest import PASSCODE, DisplayProcess
from tests.display.console.test_console import log_in, open_tab
from tests.display.media.test_routes import send_request
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    event_file = display_settings.data.with_name("event.toml")
    event_file.write_text('[event]\ntitle = "Of the file"\n')
    passcode = Settings(passcode=PASSCODE).passcode
    return display_settings.model_copy(update={"passcode": passcode, "event": event_file})


@pytest.fixture
def event_tab(open_page: Callable[..., Page]) -> Page:
    page = log_in(open_page("/console"))
    open_tab(page, "Event")
    page.get_by_label("Title", exact=True).wait_for()
    return page


def fill(page: Page, label: str, text: str) -> None:
    page.get_by_label(label, exact=True).fill(text)
    page.get_by_label(label, exact=True).press("Tab")


def save(page: Page) -> None:
    button = page.get_by_role("button", name="Save").locator("visible=true")
    expect(button).to_be_enabled()
    button.click()
    expect(page.get_by_text("Saved.").last).to_be_visible()
    expect(button).to_be_disabled()  # the fields of the next form are there: a click on one of the last would be lost


def make_logo() -> bytes:
    png = io.BytesIO()
    Image.new("RGB", (300, 100), (230, 20, 60)).save(png, "PNG")
    return png.getvalue()


def test_the_operator_changes_the_event_and_goes_back_to_the_file(
    event_tab: Page, open_wall: Callable[..., Page], client: redis.Redis, display_settings: Settings
) -> None:
    def read_appearance() -> Appearance:
        return read_runtime_settings(client, display_settings).appearance

    wall = open_wall()
    expect(wall.get_by_role("heading", name="Of the file")).to_be_visible()
    expect(event_tab.get_by_label("Title", exact=True)).to_have_value("Of the file")
    expect(event_tab.get_by_role("button", name="Save").locator("visible=true")).to_be_disabled()
    fill(event_tab, "Title", "Long <b>Night</b>")
    preview = event_tab.get_by_role("tabpanel").locator("[data-testid=stHtml]")
    expect(preview).to_contain_text("Long <b>Night</b>")
    event_tab.get_by_text("light", exact=True).click()
    expect(preview.locator("div").first).to_have_css("background-color", "rgb(247, 243, 234)")
    event_tab.get_by_label("Choose a logo").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": make_logo()}
    )
    expect(preview.locator("img")).to_be_visible()
    assert read_appearance().title == "Of the file"  # nothing is changed before it is saved
    save(event_tab)
    expect(wall.get_by_role("heading", name="Long <b>Night</b>")).to_be_visible()
    expect(wall.locator(".logo")).to_be_visible()
    assert (read_appearance().theme, bool(read_appearance().logo)) == (Theme.LIGHT, True)
    event_tab.get_by_role("button", name="Remove the logo").click()
    expect(preview.locator("img")).to_have_count(0)
    save(event_tab)
    expect(wall.locator(".logo")).to_be_hidden()
    event_tab.get_by_role("button", name="Back to the event file").click()
    expect(wall.get_by_role("heading", name="Of the file")).to_be_visible()
    event_tab.reload()  # on a busy machine, Streamlit may leave parts of the old form beside the new one
    open_tab(event_tab, "Event")
    expect(event_tab.get_by_label("Title", exact=True)).to_have_value("Of the file")
    expect(event_tab.get_by_role("button", name="Back to the event file")).to_have_count(0)
    assert read_appearance() == Appearance(title="Of the file")


def test_the_operator_starts_a_new_event_once_that_is_confirmed_and_shows_earlier_ones_again(
    event_tab: Page, client: redis.Redis, display_settings: Settings
) -> None:
    def read_opening() -> float:
        return read_runtime_settings(client, display_settings).opened_at

    show_earlier = event_tab.get_by_role("button", name="Show earlier events again")
    expect(show_earlier).to_have_count(0)
    event_tab.get_by_role("button", name="Start a new event").click()
    expect(event_tab.get_by_text("Wall and gallery start empty.")).to_be_visible()
    assert read_opening() == 0
    event_tab.get_by_role("button", name="Start", exact=True).click()
    wait_until(lambda: read_opening() > 0, "the event has started")
    event_tab.keyboard.press("Escape")
    show_earlier.click()
    wait_until(lambda: read_opening() == 0, "earlier events are shown")


@pytest.mark.slow
def test_the_operator_reads_that_an_accent_is_hard_to_read(
    event_tab: Page, client: redis.Redis, display_settings: Settings
) -> None:
    event_tab.get_by_test_id("stColorPickerBlock").click()
    field = event_tab.get_by_role("textbox", name="hex").or_(event_tab.locator("[id^=rc-editable-input]")).first
    field.fill("#101010")
    field.press("Enter")
    event_tab.keyboard.press("Escape")
    expect(event_tab.get_by_text("#101010 is hard to read on this background")).to_be_visible()
    save(event_tab)
    appearance = read_runtime_settings(client, display_settings).appearance
    assert appearance.accent == "#101010"
    assert appearance.is_accent_adjusted


@pytest.mark.slow
def test_a_file_that_is_no_logo_is_refused_with_the_reason(event_tab: Page) -> None:
    event_tab.get_by_label("Choose a logo").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": b"<svg></svg>"}
    )
    expect(event_tab.get_by_text("SVG logos are not supported")).to_be_visible()


def test_nobody_else_stores_a_logo(display: DisplayProcess) -> None:
    own = f"http://127.0.0.1:{display.settings.port}"
    for headers in ({"Origin": own}, {"Origin": "http://elsewhere.example"}, {}):
        response = send_request(display, "/console/logo", method="POST", Content_Length="0", **headers)
        assert response.status == 403
