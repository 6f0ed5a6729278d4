"""The upload page: a photo sent from a phone becomes a job, and guests cannot interfere with each other."""

import hashlib
import http.client
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from display.i18n import get_guest_texts
from display.pages.share_links import ShareLinks
from display.uploads.intake import MAX_CONCURRENT_UPLOADS
from shared.broker.client import connect
from shared.guest_upload_names import GUEST_UPLOADS_FOLDER
from shared.jobs.events import Accepted, Event, EventReader, Queued
from shared.jobs.job import Job
from shared.jobs.table import JobTable
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.recipe.canary import Canary
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import dream_name
from shared.storage.store import Store
from tests.browser import ContextPool, install_clock
from tests.display.conftest import PUBLIC_URL, DisplayProcess, make_page, running_display
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.display.pages.test_share import read_qr_codes
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until

HEIC_PHOTO, JPEG_PHOTO = encode_heic(make_picture(41)), encode_jpeg(make_picture(42))


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    overrides = {"public_url": PUBLIC_URL, "sends_per_guest": 3, "max_file_mb": 1, "patience_seconds": 1.0}
    return display_settings.model_copy(update=overrides)


@pytest.fixture
def producer(display_settings: Settings) -> Iterator[None]:
    """A running `artdream watch` on the display's data folder."""
    process = start_producer(display_settings)
    yield
    process.terminate()
    assert process.wait(WAIT_TIMEOUT_SECONDS) == 0


def start_producer(settings: Settings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "artdream", "watch"]
    return subprocess.Popen(command, env=os.environ | settings.to_environment(), stderr=subprocess.DEVNULL)


@pytest.fixture
def phone(open_page: Callable[..., Page]) -> Page:
    return open_page("/send", 390, 844, has_touch=True)


def fill_form(phone: Page, data: bytes, name: str = "IMG_0001.HEIC", recipe: str = "Curls") -> None:
    phone.locator("input[type=file]").set_input_files({"name": name, "mimeType": "image/heic", "buffer": data})
    phone.locator(".recipe", has_text=recipe).click()
    expect(phone.get_by_role("radio", name=recipe)).to_be_checked()
    phone.get_by_role("checkbox").check()


def post_photo(
    display: DisplayProcess, data: bytes, *, recipe: str = "curls", consent: str = "yes", **headers: str
) -> tuple[int, Any, str]:
    """Send a photo as a browser does; return status, parsed body and cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    all_headers = {"Origin": display.url} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", f"/send/photo?recipe={recipe}&consent={consent}", data, all_headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    content = json.loads(body) if response.getheader("Content-Type") == "application/json" else body
    return response.status, content, response.getheader("Set-Cookie") or ""


def list_uploads(settings: Settings) -> list[Path]:
    return list((settings.data / GUEST_UPLOADS_FOLDER).glob("*/*"))


@pytest.mark.parametrize(
    ("data", "recipe", "title"), [(HEIC_PHOTO, "curls", "Curls"), (JPEG_PHOTO, "night", "Starry night")]
)
def test_a_photo_is_sent_and_followed_until_it_is_a_dream(
    phone: Page,
    pipeline: FakePipeline,
    display_settings: Settings,
    producer: None,
    data: bytes,
    recipe: str,
    title: str,
) -> None:
    fill_form(phone, data, recipe=title)
    phone.get_by_role("button", name="Send").click()
    phone.wait_for_url(re.compile("/t/"))
    expect(phone.get_by_role("heading", name="Your photo is waiting for its dream")).to_be_visible()
    link = ShareLinks(display_settings).parse_token(phone.url.rpartition("/")[2])
    assert link
    job = JobTable(pipeline.client).get_job(link.job_id)
    assert job
    assert job.recipe == load_recipe(recipe)
    assert re.fullmatch("[0-9a-f]{16}", job.submitter)
    claim = pipeline.claim_job(job)
    expect(phone.locator("img[data-name='photo.jpg']")).to_be_visible()
    pipeline.publish_frame(claim, 2)
    expect(phone.locator("img[data-name='frame-02.jpg']")).to_be_visible()
    pipeline.complete_job(claim)
    expect(phone.locator("img[data-name='dream.jpg']")).to_be_visible()
    assert pipeline.store.get(dream_name(job.id))
    wait_until(lambda: list_uploads(display_settings) == [], "the upload is removed once it is in the outbox")
    counts = merge_counts(read_usage_counts(pipeline.client, pipeline.store, 0, 2**31).values())
    assert [counts[f"{kind}|phone|{recipe}"] for kind in ("accepted", "completed")] == [1, 1]
    assert sum(number for name, number in counts.items() if name.startswith("waited|phone|")) == 1
    assert counts["opened"] == 0  # its guest did not scan a code


def test_a_page_that_is_gone_back_to_sends_again(phone: Page) -> None:
    """Seen failing: it stayed as it was left, and its button did nothing."""
    phone.route("**/send/photo?*", lambda _: None)  # no answer
    fill_form(phone, JPEG_PHOTO)
    phone.get_by_role("button", name="Send", exact=True).click()
    expect(phone.get_by_role("button", name="Sending")).to_be_disabled()
    # What a browser does that had kept the page; the one of the tests keeps none.
    phone.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(phone.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    expect(phone.get_by_role("progressbar")).to_be_hidden()


def test_a_damaged_photo_is_refused_with_the_reason(phone: Page, display_settings: Settings, producer: None) -> None:
    fill_form(phone, HEIC_PHOTO[: len(HEIC_PHOTO) // 2])
    with phone.expect_navigation():
        phone.get_by_role("button", name="Send").click()
    expect(phone.get_by_text("Your photo was not accepted: a part of the file is missing")).to_be_visible()
    with connect(display_settings.broker) as client:
        counts = merge_counts(read_usage_counts(client, Store(display_settings.store), 0, 2**31).values())
    assert counts["refused|phone|incomplete"] == 1
    wait_until(lambda: list_uploads(display_settings) == [], "the upload is removed once it is rejected")


@pytest.mark.slow
def test_a_german_guest_reads_in_german_why_a_photo_was_refused(open_page: Callable[..., Page], producer: None) -> None:
    """Seen failing: the sentence ended in the producer's English."""
    phone = open_page("/send", 390, 844, has_touch=True, locale="de-AT")
    fill_form(phone, HEIC_PHOTO[: len(HEIC_PHOTO) // 2])
    with phone.expect_navigation():
        phone.get_by_role("button", name="Senden").click()
    expect(phone.get_by_role("heading")).to_have_text("Dein Foto wurde nicht angenommen: Ein Teil der Datei fehlt.")


def test_what_is_no_picture_or_too_large_is_refused_on_the_page(phone: Page, display_settings: Settings) -> None:
    fill_form(phone, b"%PDF-1.7 not a picture at all" * 9_000, name="really.heic")
    phone.get_by_role("button", name="Send").click()
    expect(phone.get_by_role("alert")).to_have_text(re.compile("not a supported picture"))
    fill_form(phone, JPEG_PHOTO + bytes(1_000_000))
    expect(phone.get_by_role("alert")).to_have_text("This photo is too large. The limit is 1 MB.")
    phone.get_by_role("button", name="Send").click()
    assert "/send" in phone.url
    assert list_uploads(display_settings) == []
    assert list((display_settings.data / GUEST_UPLOADS_FOLDER).glob(".*.part")) == []


def test_a_photo_that_a_proxy_does_not_take_is_called_too_large(phone: Page) -> None:
    phone.route("**/send/photo?*", lambda route: route.fulfill(status=413, body="<html>Too large</html>"))
    fill_form(phone, JPEG_PHOTO)
    phone.get_by_role("button", name="Send").click()
    expect(phone.get_by_role("alert")).to_have_text("This photo is too large to be sent here.")


def test_without_photo_or_consent_nothing_is_sent_and_the_reason_stands_below_the_field(phone: Page) -> None:
    """Seen failing: it stood above the button, half a screen below the photo that was missing."""
    alert = phone.get_by_role("alert")
    phone.get_by_role("button", name="Send").click()
    expect(alert.and_(phone.locator(".photo + *"))).to_have_text("Choose a photo first.")
    fill_form(phone, JPEG_PHOTO)
    phone.get_by_role("checkbox").uncheck()
    phone.get_by_role("button", name="Send").click()
    expect(alert.and_(phone.locator(".consent + *"))).to_have_text(
        "Please agree first. Without your consent the photo is not sent."
    )
    expect(phone.get_by_role("checkbox")).to_be_focused()
    phone.get_by_role("checkbox").check()
    phone.route("**/send/photo?*", lambda route: route.abort())
    phone.get_by_role("button", name="Send").click()
    expect(alert.and_(phone.locator(":has(+ button)"))).to_have_text("The photo did not arrive. Try again.")


def test_a_screen_reader_says_what_is_wrong_with_which_field(phone: Page) -> None:
    phone.get_by_role("button", name="Send").click()
    photo = phone.locator("input[type=file]")
    expect(photo).to_have_attribute("aria-invalid", "true")
    expect(photo).to_have_accessible_description(phone.get_by_role("alert").inner_text())
    fill_form(phone, JPEG_PHOTO)
    phone.route("**/send/photo?*", lambda _: None)
    phone.get_by_role("button", name="Send").click()
    expect(phone.get_by_role("progressbar", name="Sending")).to_be_visible()
    assert photo.get_attribute("aria-invalid") is None


def test_a_guest_who_sends_too_many_reads_so(phone: Page, display: DisplayProcess) -> None:
    for seed in range(3):
        fill_form(phone, encode_jpeg(make_picture(seed)))
        phone.get_by_role("button", name="Send").click()
        phone.wait_for_url(re.compile("/t/"))
        expect(phone.get_by_role("heading", name="Your photo has arrived")).to_be_visible()
        phone.goto(f"{display.url}/send")
    fill_form(phone, encode_jpeg(make_picture(4)))
    phone.get_by_role("button", name="Send").click()
    expect(phone.get_by_role("alert")).to_have_text("You have sent many photos. Try again in a few minutes.")


def test_a_browser_that_throws_its_cookies_away_is_counted_by_its_address(
    display: DisplayProcess, display_settings: Settings
) -> None:
    statuses = [post_photo(display, encode_jpeg(make_picture(seed, (64, 64))))[0] for seed in range(26)]
    assert statuses == [201] * 24 + [429] * 2
    assert len(list_uploads(display_settings)) == 24


def _note_url(urls: list[str], request: Request) -> None:
    urls.append(request.url)


def test_a_page_says_what_it_does_in_german_and_hangs_over_no_edge(
    new_page: Callable[..., Page], display: DisplayProcess
) -> None:
    for width, height in ((390, 844), (1440, 900)):
        page = new_page(width, height)
        requested_urls: list[str] = []
        page.on("request", partial(_note_url, requested_urls))
        page.goto("/send?lang=de")
        expect(page.get_by_role("heading", name="Lass ein Foto träumen")).to_be_visible()
        expect(page.get_by_role("radio")).to_have_count(16)  # five painters, three of people, eight others
        page.locator(".recipe img").last.scroll_into_view_if_needed()
        loaded_script = "[...document.querySelectorAll('.recipe img')].every(image => image.naturalWidth > 200)"
        wait_until(lambda page=page, script=loaded_script: page.evaluate(script), "the examples are there")  # type: ignore[misc]
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert [url for url in requested_urls if not url.startswith(display.url)] == []


def test_a_keyboard_is_enough(phone: Page, display: DisplayProcess) -> None:
    phone.keyboard.press("Tab")
    assert phone.evaluate("document.activeElement.type") == "file"
    phone.locator("input[type=file]").set_input_files({"name": "a.jpg", "mimeType": "image/jpeg", "buffer": JPEG_PHOTO})
    phone.keyboard.press("Tab")
    phone.keyboard.press("ArrowDown")
    assert phone.evaluate("document.activeElement.value") == "more-pablo-picasso"  # the second recipe
    phone.keyboard.press("Tab")
    phone.keyboard.press("Space")
    phone.keyboard.press("Tab")
    phone.keyboard.press("Enter")
    phone.wait_for_url(re.compile("/t/"))


def test_the_wall_shows_the_way_in(open_wall: Callable[..., Page], pipeline: FakePipeline) -> None:
    wall = open_wall(1920, 1080)
    expect(wall.get_by_text("no AirDrop? send a photo")).to_be_visible()
    assert read_qr_codes(wall, f"{PUBLIC_URL}/send") == [f"{PUBLIC_URL}/send"]
    large_box = wall.locator(".send img").bounding_box()
    pipeline.add_dream((1, 2, 3))
    wall.wait_for_selector(".wall[data-scene=dream][data-home]")
    codes = read_qr_codes(wall, f"{PUBLIC_URL}/send", f"{PUBLIC_URL}/t/")
    assert len(codes) == 2
    small_box = wall.locator(".send img").bounding_box()
    assert large_box
    assert small_box
    assert large_box["width"] > 2 * small_box["width"]


def test_sending_can_be_turned_off(display_settings: Settings, contexts: ContextPool) -> None:
    with running_display(display_settings.model_copy(update={"send": False})) as display:
        for path in ("/send", "/send/", "/send/upload.js", "/send/examples/curls.jpg", "/qr/send.svg"):
            assert send_request(display, path).status == 404, path
        assert post_photo(display, JPEG_PHOTO)[0] == 404
        wall = make_page(contexts, display)
        wall.goto("/")
        expect(wall.get_by_text("AirDrop a photo")).to_be_visible()
        expect(wall.locator(".send")).to_be_hidden()
    assert list_uploads(display_settings) == []


@pytest.mark.slow
def test_without_a_producer_nothing_is_offered_until_there_is_one(
    display_settings: Settings, contexts: ContextPool
) -> None:
    """Seen failing with the setting alone: the phone read “Your photo has arrived” forever."""
    (display_settings.data / GUEST_UPLOADS_FOLDER / ".producer").unlink()
    with running_display(display_settings) as display:
        page = send_request(display, "/send?lang=de")
        assert (page.status, page.body.decode()) == (503, get_guest_texts("de")["send_closed"])  # type: ignore[attr-defined]
        assert post_photo(display, JPEG_PHOTO)[:2] == (503, {"reason": get_guest_texts("en")["send_closed"]})
        assert send_request(display, "/qr/send.svg").status == 404
        wall = make_page(contexts, display)
        install_clock(wall)
        wall.goto("/")
        expect(wall.get_by_text("AirDrop a photo")).to_be_visible()
        expect(wall.locator(".send")).to_be_hidden()
        producer = start_producer(display_settings)
        wait_until(lambda: send_request(display, "/send").status == 200, "sending is offered")
        wall.clock.fast_forward(30_000)
        expect(wall.get_by_text("no AirDrop? send a photo")).to_be_visible()
        producer.terminate()
        producer.wait()
    assert list_uploads(display_settings) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_no_other_page_can_send_in_a_guest_s_name(
    display: DisplayProcess, display_settings: Settings, headers: dict[str, str]
) -> None:
    assert post_photo(display, JPEG_PHOTO, **headers)[0] == 403
    assert list_uploads(display_settings) == []


def test_the_server_asks_for_consent_and_a_recipe_that_is_offered(
    display: DisplayProcess, display_settings: Settings
) -> None:
    assert post_photo(display, JPEG_PHOTO, consent="no")[0] == 400
    for recipe in ("", "classic", "..%2f..%2fetc", "%2fetc%2fpasswd.toml"):
        assert post_photo(display, JPEG_PHOTO, recipe=recipe)[0] == 400
    assert list_uploads(display_settings) == []


def test_too_much_is_cut_off_while_it_comes(display: DisplayProcess, display_settings: Settings) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    chunks = iter([JPEG_PHOTO, *[bytes(100_000)] * 12])
    headers = {"Origin": display.url, "Transfer-Encoding": "chunked"}
    connection.request("POST", "/send/photo?recipe=curls&consent=yes", chunks, headers, encode_chunked=True)
    response = connection.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["reason"] == "This photo is too large. The limit is 1 MB."
    connection.close()
    assert list((display_settings.data / GUEST_UPLOADS_FOLDER).glob(".*.part")) + list_uploads(display_settings) == []


def test_uploads_that_were_rejected_keep_nobody_busy(display: DisplayProcess) -> None:
    """Seen failing: each of them was read to its end, however many there were."""
    uploads = []
    for _ in range(MAX_CONCURRENT_UPLOADS + 3):
        connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
        connection.putrequest("POST", "/send/photo?recipe=curls&consent=yes")
        connection.putheader("Origin", "http://elsewhere.example")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"a few bytes")
        uploads.append(connection)
    sockets = [connection.sock for connection in uploads]
    wait_until(
        lambda: len(select.select(sockets, [], [], 0)[0]) == 3, "those beyond the limit are answered", timeout=20
    )
    for connection in uploads:
        connection.close()


def test_an_upload_that_breaks_off_leaves_nothing(display: DisplayProcess, display_settings: Settings) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)
    connection.putrequest("POST", "/send/photo?recipe=curls&consent=yes")
    connection.putheader("Origin", display.url)
    connection.putheader("Content-Length", str(len(JPEG_PHOTO)))
    connection.endheaders(JPEG_PHOTO[:2000])
    folder = display_settings.data / GUEST_UPLOADS_FOLDER
    wait_until(lambda: len(list(folder.glob(".*.part"))) == 1, "the upload begins")
    connection.close()
    wait_until(lambda: list(folder.glob(".*.part")) == [], "the partial upload is removed")
    assert list_uploads(display_settings) == []


def test_a_guest_is_a_number_by_chance_and_its_file_s_name_is_nobody_s(
    display: DisplayProcess, display_settings: Settings
) -> None:
    status, content, cookie = post_photo(display, JPEG_PHOTO, Cookie="artdream_guest=../../etc/passwd")
    assert status == 201
    assert re.match(r"artdream_guest=[0-9a-f]{16}; HttpOnly; Max-Age=\d+; Path=/; SameSite=strict", cookie)
    guest = cookie[len("artdream_guest=") :][:16]
    (path,) = list_uploads(display_settings)
    job = Job(photo_id=hashlib.sha256(JPEG_PHOTO).hexdigest(), recipe=load_recipe("curls"))
    assert re.fullmatch(rf"{guest}-{job.id}-[0-9a-f]{{8}}\.jpg", path.name)
    assert path.read_bytes() == JPEG_PHOTO
    assert path.parent.name == "curls"
    link = ShareLinks(display_settings).parse_token(content["page"].rpartition("/")[2])
    assert link
    assert link.job_id == job.id
    second_response = post_photo(display, JPEG_PHOTO, Cookie=f"artdream_guest={guest}")
    assert second_response[2].startswith(f"artdream_guest={guest};")


def test_headers_are_strict(display: DisplayProcess) -> None:
    response = send_request(display, "/send")
    policy = response.getheader("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "form-action 'none'" in policy
    assert response.getheader("X-Content-Type-Options") == "nosniff"
    assert response.getheader("Referrer-Policy") == "no-referrer"
    for path in ("/send/send.py", "/send/examples/classic.jpg", "/send/examples/..%2fsend.jpg"):
        assert send_request(display, path).status in (400, 404)


def test_who_sends_nothing_but_knows_a_job_gets_no_page(display: DisplayProcess, pipeline: FakePipeline) -> None:
    job = pipeline.submit_photo((1, 2, 3))
    for path in (f"/t/{job.id}", f"/t/{job.id}/state", f"/qr/{job.id}.svg"):
        response = send_request(display, path)
        assert response.status == 404 or json.loads(response.body) == {"state": "wrong"}  # type: ignore[attr-defined]


def test_a_producer_that_is_killed_between_upload_and_outbox_loses_nothing_and_repeats_nothing(
    display: DisplayProcess, display_settings: Settings, pipeline: FakePipeline
) -> None:
    page_urls = [post_photo(display, encode_jpeg(make_picture(seed)))[1]["page"] for seed in range(3)]
    jobs = {
        link.job_id for url in page_urls if (link := ShareLinks(display_settings).parse_token(url.rpartition("/")[2]))
    }
    reader, events = EventReader(pipeline.client), list[Event]()

    def read_events() -> bool:
        new_events = [recorded.event for recorded in reader.read(wait_seconds=1)]
        events.extend(new_events)
        return bool(new_events)

    def job_ids_of(kind: type[Accepted | Queued]) -> list[str]:
        return sorted(event.job_id for event in events if isinstance(event, kind))

    def all_are_queued() -> bool:
        read_events()
        return len(job_ids_of(Queued)) == len(jobs)

    for _ in range(3):  # killed at the steps of its work that are seen in time
        if not all_are_queued():
            producer = start_producer(display_settings)
            wait_until(read_events, "the producer accepts or queues a photo")
            producer.kill()
            producer.wait()
    producer = start_producer(display_settings)
    wait_until(all_are_queued, "every photo is queued")
    wait_until(lambda: list_uploads(display_settings) == [], "nothing piles up")
    producer.terminate()
    producer.wait()
    read_events()
    assert job_ids_of(Accepted) == job_ids_of(Queued) == sorted(jobs)


@pytest.mark.slow
def test_a_guest_s_link_leads_to_the_version_that_the_photo_got(
    display: DisplayProcess, display_settings: Settings, pipeline: FakePipeline, producer: None
) -> None:
    """The operator replaces the canary as soon as a photo is in: its guest's link stays right."""
    current = load_recipe("curls")
    candidate = current.model_copy(update={"version": current.version + 1})
    for percent, version in ((100, candidate.version), (0, current.version)):
        update_runtime_settings(pipeline.client, canary=Canary(candidate=candidate, percent=percent))
        sent: list[str] = []

        def send(sent: list[str] = sent, percent: int = percent, version: int = version) -> bool:
            """Send another photo; return whether the display has read the settings by then."""
            data = encode_jpeg(make_picture(1000 + 100 * percent + len(sent)))
            page = post_photo(display, data)[1]["page"]
            link = ShareLinks(display_settings).parse_token(page.rpartition("/")[2])
            assert link
            sent.append(link.job_id)
            job = wait_for_job(pipeline, link.job_id)
            return job.recipe.version == version

        wait_until(send, "photos get the version")
    wait_until(lambda: list_uploads(display_settings) == [], "nothing is left, no assigned recipe either")


def wait_for_job(pipeline: FakePipeline, job_id: str) -> Job:
    """Return the job that a guest's link names, once the producer has submitted it."""
    table = JobTable(pipeline.client)
    wait_until(lambda: table.get_job(job_id) is not None, "the producer makes the job of the link")
    job = table.get_job(job_id)
    assert job
    return job
