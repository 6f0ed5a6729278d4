"""The fonts come from the package: pages look the same without internet."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Error, Page

from display.pages.share_links import ShareLinks
from display.web.fonts import FONT_FAMILY
from shared.art_map import MapPoint
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from tests.display.conftest import PASSCODE, PUBLIC_URL, DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.display.pages.test_art_map import make_art_map
from tests.display.test_screens import READY_SELECTORS
from tests.waiting import wait_until

#: Fonts of Streamlit's icons and of job ids; both are part of its package.
ICON_FONTS = ("Material Symbols Rounded", "Source Code Pro")


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    overrides = {"passcode": Settings(passcode=PASSCODE).passcode, "public_url": PUBLIC_URL}
    return display_settings.model_copy(update=overrides)


@pytest.fixture
def page(new_page: Callable[..., Page], display: DisplayProcess) -> Page:
    """A page that can connect to nothing but the display."""
    page = new_page(1280, 800)
    page.context.route(lambda url: not url.startswith(display.url), lambda route: route.abort())
    return page


def find_fonts(page: Page) -> dict[tuple[str, bool], str]:
    """Return a sample text per (font family, whether the font was downloaded) of everything that is drawn."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("DOM.enable")
    devtools.send("CSS.enable")
    samples: dict[tuple[str, bool], str] = {}

    def visit_node(node: dict[str, Any]) -> None:
        text = " ".join(child["nodeValue"] for child in node.get("children", []) if child["nodeName"] == "#text")
        if text.strip():
            for font in devtools.send("CSS.getPlatformFontsForNode", {"nodeId": node["nodeId"]})["fonts"]:
                samples[font["familyName"], font["isCustomFont"]] = text.strip()
        for child in [*node.get("children", []), *node.get("shadowRoots", [])]:
            visit_node(child)

    while True:
        try:
            visit_node(devtools.send("DOM.getDocument", {"depth": -1, "pierce": True})["root"])
        except Error as error:
            if "Could not find node" not in str(error):
                raise
            samples.clear()  # the page was drawn again meanwhile
        else:
            return samples


@pytest.mark.slow
def test_every_page_is_set_in_the_package_s_own_typeface_and_asks_nobody_else(
    page: Page, display: DisplayProcess, pipeline: FakePipeline
) -> None:
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    job = pipeline.add_dream(
        (10, 90, 160), thumb=True, map_point=map_point, class_probabilities=[("peacock", 0.03, 0.71)]
    )
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    wait_until(lambda: send_request(display, f"/gallery/dreams/{job.id}").status == 200, "the dream is there")
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))
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
        page.goto(path)
        if name == "console":
            page.get_by_label("passcode").fill(PASSCODE)
            page.get_by_role("button").click()
        page.wait_for_selector((READY_SELECTORS | {"entrance": "form"})[name])
        font_loaded_script = "[...document.fonts].some((face) => face.status === 'loaded')"
        wait_until(lambda: page.evaluate(font_loaded_script), f"the {name} has its letters")  # noqa: B023  called at once
        fonts = find_fonts(page)
        assert any(family.startswith(FONT_FAMILY) for family, _ in fonts), (name, fonts)
        other_fonts = {
            font: text
            for font, text in fonts.items()
            if not font[0].startswith(FONT_FAMILY) and font[0] not in ICON_FONTS
        }
        assert other_fonts == {}, name
        assert all(is_downloaded for _, is_downloaded in fonts), (name, fonts)
    assert [url for url in requested_urls if not url.startswith((display.url, "data:", "blob:"))] == []


def test_a_font_is_kept_for_ever_and_what_is_none_is_not_there(shared_display: DisplayProcess) -> None:
    stylesheet = send_request(shared_display, "/fonts/fonts.css").body.decode()  # type: ignore[attr-defined]
    font_paths = [line.partition('url("')[2].partition('"')[0] for line in stylesheet.splitlines()]
    assert len(font_paths) == 4
    total_bytes = 0
    for path in font_paths:
        response = send_request(shared_display, path)
        assert response.status == 200
        assert response.getheader("Content-Type") == "font/woff2"
        assert response.getheader("Cache-Control") == "public, max-age=31536000, immutable"
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        total_bytes += len(response.body)  # type: ignore[attr-defined]
    assert total_bytes < 150_000
    folder = font_paths[0].rpartition("/")[0]
    for other_path in (
        f"{folder}/LICENSE",
        f"{folder}/..%2f..%2fphone.py",
        "/fonts/fonts.html",
        "/fonts/0.0.0/fonts.css",
    ):
        assert send_request(shared_display, other_path).getheader("Content-Type") != "font/woff2"
