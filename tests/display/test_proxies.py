"""Behind a real nginx and a real Caddy, with TLS, all is as without, and each guest counts alone."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from display.console.sessions import MAX_FAILURES_PER_ADDRESS
from shared.settings import Settings
from tests.browser import ContextPool
from tests.display.conftest import PASSCODE, running_display
from tests.display.fake_pipeline import FakePipeline
from tests.display.pages.test_upload import JPEG_PHOTO, fill_form, list_uploads
from tests.display.proxies import Caddy, Nginx, ReverseProxy
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

OpenPage = Callable[[str], Page]


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    passcode = Settings(passcode=PASSCODE, _env_file=None).passcode
    return display_settings.model_copy(update={"passcode": passcode, "max_file_mb": 2})


@pytest.fixture(params=[Nginx, Caddy])
def reverse_proxy(request: pytest.FixtureRequest, display_settings: Settings, tmp_path: Path) -> Iterator[ReverseProxy]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    with request.param(display_settings, folder) as proxy:
        yield proxy


def run_display(settings: Settings, proxy: ReverseProxy, trusted_proxies: str) -> AbstractContextManager[object]:
    """Run a display behind the proxy."""
    return running_display(settings.model_copy(update={"public_url": proxy.url, "trusted_proxies": trusted_proxies}))


@pytest.fixture
def trusted_proxy(display_settings: Settings, reverse_proxy: ReverseProxy) -> Iterator[ReverseProxy]:
    with run_display(display_settings, reverse_proxy, "127.0.0.1"):
        yield reverse_proxy


@pytest.fixture
def open_page(contexts: ContextPool, trusted_proxy: ReverseProxy) -> OpenPage:
    """Open a path of the proxy in a browser that accepts its certificate."""

    def open_page(path: str) -> Page:
        options = {"ignore_https_errors": True, "reduced_motion": "reduce"}
        page = contexts.new_page(trusted_proxy.url, 1280, 720, **options)
        page.goto(path)
        return page

    return open_page


def send_guess(proxy: ReverseProxy, address: str, **headers: str) -> int:
    """Send a wrong passcode from an address; return the status of the answer."""
    with proxy.open_response("/console/enter", method="POST", address=address, **headers) as response:
        return response.status


def test_the_wall_appears_and_shows_a_dream_while_it_emerges(open_page: OpenPage, pipeline: FakePipeline) -> None:
    wall = open_page("/")
    wall.wait_for_selector(".wall:not([data-scene=dark])")
    claim = pipeline.claim_job(pipeline.submit_photo((10, 90, 40)))
    for index in range(2):
        frame = pipeline.publish_frame(claim, index)
        wall.wait_for_selector(f'.wall[data-scene=emerging] img[data-frame="{frame}"][data-shown-at]')
    pipeline.complete_job(claim)
    wall.wait_for_selector(f'.wall[data-scene=dream] img[data-dream][data-job-id="{claim.job.id}"][data-shown-at]')


def test_scripts_are_compressed_and_events_are_not(trusted_proxy: ReverseProxy) -> None:
    with trusted_proxy.open_response("/") as page:
        [script] = re.findall(r'src="\./(static/js/index\.[^"]+\.js)"', page.read().decode())
    with trusted_proxy.open_response(f"/{script}") as plain:
        plain_length = len(plain.read())
    with trusted_proxy.open_response(f"/{script}", Accept_Encoding="gzip") as compressed:
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert 2 * len(compressed.read()) < plain_length
    with trusted_proxy.open_response("/feed", Accept_Encoding="gzip") as events:
        assert (events.status, events.headers["Content-Encoding"]) == (200, None)


def test_a_photo_is_sent_and_one_that_is_too_large_is_refused_in_a_sentence(
    open_page: OpenPage, trusted_proxy: ReverseProxy, display_settings: Settings
) -> None:
    phone = open_page("/send")
    (cookie,) = phone.context.cookies()
    assert cookie.get("secure"), "the display takes the connection for one without TLS"
    fill_form(phone, JPEG_PHOTO + bytes(1_500_000), name="large.jpg")
    phone.get_by_role("button", name="Send").click()
    if trusted_proxy.limits_bodies:
        expect(phone.get_by_role("alert")).to_have_text("This photo is too large to be sent here.")
        assert list_uploads(display_settings) == []
        fill_form(phone, JPEG_PHOTO)
        phone.get_by_role("button", name="Send").click()
    phone.wait_for_url(re.compile("/t/"))
    wait_until(lambda: len(list_uploads(display_settings)) == 1, "the photo waits for its producer")


def test_guests_are_counted_one_by_one_whatever_address_they_claim(trusted_proxy: ReverseProxy) -> None:
    for number in range(MAX_FAILURES_PER_ADDRESS):
        assert send_guess(trusted_proxy, "127.0.0.2", X_Forwarded_For=f"192.0.2.{number}") == 403
    assert send_guess(trusted_proxy, "127.0.0.2", X_Forwarded_For="192.0.2.99") == 429
    assert send_guess(trusted_proxy, "127.0.0.3", X_Forwarded_For="127.0.0.2") == 403


def test_without_the_setting_all_guests_behind_the_proxy_count_as_one(
    display_settings: Settings, reverse_proxy: ReverseProxy
) -> None:
    with run_display(display_settings, reverse_proxy, ""):
        for number in range(MAX_FAILURES_PER_ADDRESS):
            assert send_guess(reverse_proxy, f"127.0.0.{number + 2}", X_Forwarded_For=f"192.0.2.{number}") == 403
        assert send_guess(reverse_proxy, "127.0.0.99", X_Forwarded_For="192.0.2.99") == 429
