"""The security headers of every response, and that every page works under its content security policy."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from display.pages.share_links import ShareLinks
from shared.art_map import MapPoint
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import art_map_name
from tests.display.conftest import PASSCODE, PUBLIC_URL, DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.display.pages.test_art_map import make_art_map
from tests.display.test_screens import READY_SELECTORS
from tests.waiting import wait_until

#: Chromium logs most violations by itself, but not those of workers and of styles that scripts write.
VIOLATION_LISTENER = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`${event.effectiveDirective} forbids ${event.blockedURI}`));"""


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    overrides = {"passcode": Settings(passcode=PASSCODE).passcode, "public_url": PUBLIC_URL}
    return display_settings.model_copy(update=overrides)


@pytest.mark.slow
def test_no_page_breaks_its_own_rules_or_says_a_word_of_trouble(
    new_page: Callable[..., Page], display: DisplayProcess, pipeline: FakePipeline
) -> None:
    map_point = MapPoint(network="artists", photo=(-20, 0), dream=(30, 10))
    job = pipeline.add_dream((10, 90, 160), thumb=True, map_point=map_point)
    pipeline.store.put(art_map_name("artists"), make_art_map().model_dump_json().encode())
    pipeline.fail_job(pipeline.claim_job(pipeline.submit_photo((4, 4, 4))))
    wait_until(lambda: send_request(display, f"/gallery/dreams/{job.id}").status == 200, "the dream is there")
    page = new_page()
    console_messages: list[str] = []
    page.on(
        "console",
        lambda message: console_messages.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: console_messages.append(str(error)))
    page.add_init_script(VIOLATION_LISTENER)
    paths = {
        "wall": "/",
        "gallery": "/gallery",
        "map": "/map",
        "takeaway": f"/t/{ShareLinks(display.settings).make_token(job.id)}",
        "send": "/send",
        "console": "/console",
    }
    for name, path in paths.items():
        page.goto(path)
        if name == "console":
            page.get_by_label("passcode").fill(PASSCODE)
            page.get_by_role("button").click()
        page.wait_for_selector(READY_SELECTORS[name])
        if name == "gallery":
            page.locator(".dreams button").first.click()
            page.wait_for_selector("dialog .download")
    for tab in ("Dreams", "Screens", "Errors", "Numbers", "Event", "Settings", "Status"):
        page.get_by_role("tab", name=tab).click()
        page.get_by_role("tabpanel", name=tab).locator(":visible").first.wait_for()
    update_runtime_settings(pipeline.client, paused=True)
    page.get_by_text("The intake is paused").wait_for()
    # The clip is not made yet, as for every new dream.
    missing_clip_url = f"{display.url}/pictures/dreams/{job.id}/clip.mp4"
    assert [
        text
        for text in console_messages
        if missing_clip_url not in text
        and "404" not in text
        and "GL Driver" not in text
        and "WARN Infinite extent" not in text  # Streamlit draws a chart before it has its values
    ] == []


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
def test_every_answer_can_neither_be_framed_nor_taken_for_something_else(
    shared_display: DisplayProcess, path: str
) -> None:
    response = send_request(shared_display, path)
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert response.getheader("X-Frame-Options") == "DENY"
    assert response.getheader("Referrer-Policy") in ("no-referrer", "same-origin")
    assert response.getheader("Cross-Origin-Resource-Policy") == "same-origin"
    policy = response.getheader("Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none';")
    assert policy.endswith("base-uri 'none'; form-action 'none'; frame-ancestors 'none'") or path == "/console"
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
