"""The typeface comes from the package: a wall without internet looks like any other."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page

from display.pages.share_links import ShareLinks
from display.web.fonts import FONT_FAMILY
from shared.art_map import MapPoint
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from tests.display.conftest import DISPLAY_TIMEOUT_SECONDS, DisplayProcess, wait_until
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.display.pages.test_art_map import make_art_map
from tests.display.test_screens import PASSCODE, READY_SELECTORS

#: What draws Streamlit's icons, and what job ids are set in; both lie in its package.
ICON_FONTS = ("Material Symbols Rounded", "Source Code Pro")


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    chosen = {"passcode": Settings(passcode=PASSCODE).passcode, "public_url": "http://192.168.100.200:8501"}
    return display_settings.model_copy(update=chosen)


@pytest.fixture
def page(browser: Browser, display: DisplayProcess) -> Iterator[Page]:
    """A page that reaches nothing but the display."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.route(lambda url: not url.startswith(display.url), lambda route: route.abort())
    page = context.new_page()
    page.set_default_timeout(1000 * DISPLAY_TIMEOUT_SECONDS)
    yield page
    context.close()


def find_fonts(page: Page) -> dict[tuple[str, bool], str]:
    """Return (family, whether it was fetched) of all that is drawn, with a sample of each."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("DOM.enable")
    devtools.send("CSS.enable")
    found: dict[tuple[str, bool], str] = {}

    def visit_node(node: dict[str, Any]) -> None:
        text = " ".join(child["nodeValue"] for child in node.get("children", []) if child["nodeName"] == "#text")
        if text.strip():
            for font in devtools.send("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})["fonts"]:
                found[font["familyName"], font["isCustomFont"]] = text.strip()
        for child in [*node.get("children", []), *node.get("shadowRoots", [])]:
            visit_node(child)

    while True:
        try:
            visit_node(devtools.send("DOM.getDocument", {"depth": -1, "pierce": True})["root"])
        except Error as error:
            if "Could not find node" not in str(error):
                raise
            found.clear()  # the page has drawn itself anew meanwhile
        else:
            return found


def test_every_page_is_set_in_the_package_s_own_typeface_and_asks_nobody_else(
    page: Page, display: DisplayProcess, pipeline: FakePipeline
) -> None:
    place = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    job = pipeline.add_dream((10, 90, 160), thumb=True, map_point=place, class_probabilities=[("peacock", 0.03, 0.71)])
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    wait_until(lambda: send_request(display, f"/gallery/dreams/{job.id}").status == 200, "the dream is there")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    paths = {
        "wall": "/?lang=de",
        "gallery": "/gallery",
        "map": "/map",
        "takeaway": f"/t/{ShareLinks(display.settings).make_token(job.id)}",
        "send": "/send",
        "entrance": "/console",
        "console": "/console",
    }
    for name, path in paths.items():
        page.goto(display.url + path)
        if name == "console":
            page.get_by_label("passcode").fill(PASSCODE)
            page.get_by_role("button").click()
        page.wait_for_selector((READY_SELECTORS | {"entrance": "form"})[name])
        loaded = "[...document.fonts].some((face) => face.status === 'loaded')"
        wait_until(lambda: page.evaluate(loaded), f"the {name} has its letters")  # noqa: B023  called at once
        fonts = find_fonts(page)
        assert any(family.startswith(FONT_FAMILY) for family, _ in fonts), (name, fonts)
        others = {
            font: text
            for font, text in fonts.items()
            if not font[0].startswith(FONT_FAMILY) and font[0] not in ICON_FONTS
        }
        assert others == {}, name
        assert all(fetched for _, fetched in fonts), (name, fonts)
    assert [url for url in asked if not url.startswith((display.url, "data:", "blob:"))] == []


def test_a_font_is_kept_for_ever_and_what_is_none_is_not_there(display: DisplayProcess) -> None:
    sheet = send_request(display, "/fonts/fonts.css").body.decode()  # type: ignore[attr-defined]
    named = [line.partition('url("')[2].partition('"')[0] for line in sheet.splitlines()]
    assert len(named) == 4
    total = 0
    for path in named:
        answer = send_request(display, path)
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "font/woff2"
        assert answer.getheader("Cache-Control") == "public, max-age=31536000, immutable"
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        total += len(answer.body)  # type: ignore[attr-defined]
    assert total < 150_000
    folder = named[0].rpartition("/")[0]
    for other in (f"{folder}/LICENSE", f"{folder}/..%2f..%2fphone.py", "/fonts/fonts.html", "/fonts/0.0.0/fonts.css"):
        assert send_request(display, other).getheader("Content-Type") != "font/woff2"
