"""What browsers are told, and that every page works under it."""

import pytest
from playwright.sync_api import Browser

from display.pages.share_links import ShareLinks
from shared.art_map import MapPoint
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from tests.display.conftest import PATIENCE, Display, until
from tests.display.fake_pipeline import Studio
from tests.display.media.test_routes import ask
from tests.display.pages.test_art_map import art_map
from tests.display.test_screens import DRAWN, PASSCODE

#: Chromium says most violations by itself, but not those of workers and of styles that scripts write.
BROKEN = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.effectiveDirective} forbids ${event.blockedURI}`));"""


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    chosen = {"passcode": Settings(passcode=PASSCODE).passcode, "public_url": "http://192.168.100.200:8501"}
    return display_settings.model_copy(update=chosen)


def test_no_page_breaks_its_own_rules_or_says_a_word_of_trouble(
    browser: Browser, display: Display, studio: Studio
) -> None:
    place = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    job = studio.dream((10, 90, 160), thumb=True, place=place)
    studio.store.put(art_map_name("artists"), art_map().model_dump_json().encode())
    studio.fail(studio.start(studio.photo((4, 4, 4))))
    until(lambda: ask(display, f"/gallery/dreams/{job.id}").status == 200, "the dream is there")
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.add_init_script(BROKEN)
    paths = {
        "wall": "/",
        "gallery": "/gallery",
        "map": "/map",
        "takeaway": f"/t/{ShareLinks(display.settings).make_token(job.id)}",
        "send": "/send",
        "console": "/console",
    }
    for name, path in paths.items():
        page.goto(display.url + path)
        if name == "console":
            page.get_by_label("passcode").fill(PASSCODE)
            page.get_by_role("button").click()
        page.wait_for_selector(DRAWN[name])
        if name == "gallery":
            page.locator(".dreams button").first.click()
            page.wait_for_selector("dialog .download")
    for tab in ("Dreams", "Faults", "Steering", "Now"):  # with every kind of widget that the console has
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("tabpanel", name=tab).locator(":visible").first.wait_for()
    update_runtime_settings(studio.client, paused=True)
    page.get_by_text("The intake is paused").wait_for()
    page.close()
    missing = f"{display.url}/pictures/dreams/{job.id}/clip.mp4"  # as of every dream whose clip is not made yet
    assert [text for text in said if missing not in text and "404" not in text and "GL Driver" not in text] == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/elsewhere",
        "/favicon.png",
        "/_stcore/health",
        "/_stcore/host-config",
        "/gallery",
        "/gallery/gallery.js",
        "/map",
        "/send",
        "/common/icon.svg",
        "/common/none",
        "/console",
        "/console/enter",
        "/t/none",
        "/pictures/none",
        "/qr/none.svg",
        "/fonts/fonts.css",
        "/fonts/none",
    ],
)
def test_every_answer_can_neither_be_framed_nor_taken_for_something_else(display: Display, path: str) -> None:
    answer = ask(display, path)
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    assert answer.getheader("X-Frame-Options") == "DENY"
    assert answer.getheader("Referrer-Policy") in ("no-referrer", "same-origin")
    assert answer.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    policy = answer.getheader("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none';")
    assert policy.endswith("base-uri 'none'; form-action 'none'; frame-ancestors 'none'") or path == "/console"
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
