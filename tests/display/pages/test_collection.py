"""My pictures: a phone shows what was sent from it and whose links it opened, and no other phone's."""

import time
from collections.abc import Callable
from http.cookies import SimpleCookie

import pytest
from playwright.sync_api import Page, expect

from display.pages.collection import COLLECTION_PATH, MAX_PICTURES
from display.pages.share_links import ShareLinks
from shared.jobs.events import Hidden
from shared.jobs.table import JobTable
from shared.settings import Settings
from tests.browser import ContextPool, install_clock
from tests.display.conftest import PUBLIC_URL, DisplayProcess, make_page
from tests.display.fake_pipeline import FakePipeline, make_circle_jpeg
from tests.display.media.test_routes import add_shown_dream, send_request
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"public_url": PUBLIC_URL})


@pytest.fixture
def open_phone(contexts: ContextPool, display: DisplayProcess) -> Callable[[], Page]:
    """Return the page of a phone of its own."""
    return lambda: make_page(contexts, display, 390, 844, has_touch=True)


def list_pages(phone: Page) -> list[str | None]:
    """Return the paths of the pictures on the page, in order."""
    phone.goto(COLLECTION_PATH)
    expect(phone.get_by_role("heading", name="My pictures")).to_be_visible()
    return [link.get_attribute("href") for link in phone.locator(".pictures a").all()]


def cookies_of(*tokens: str) -> str:
    """Return the header of a phone that keeps these links."""
    return "; ".join(f"artdream_mine_{number:012x}={token}" for number, token in enumerate(tokens))


def test_each_phone_shows_its_own_pictures_and_forgets_them_when_asked(
    open_phone: Callable[[], Page], pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    jobs = [add_shown_dream(display, pipeline, color) for color in ((10, 90, 40), (90, 10, 40), (10, 40, 90))]
    paths = [f"/t/{share_links.make_token(job.id)}" for job in jobs]
    one, other = open_phone(), open_phone()
    for phone, opened in ((one, paths[:2]), (other, paths[2:])):
        for path in opened:
            phone.goto(path)
            expect(phone.get_by_role("link", name="My pictures")).to_be_visible()
    one.get_by_role("link", name="My pictures").click()
    expect(one.get_by_role("img")).to_have_count(2)
    assert sorted(list_pages(one), key=str) == sorted(paths[:2])
    assert list_pages(other) == paths[2:]
    assert one.evaluate("document.cookie") == ""
    assert one.evaluate("document.documentElement.scrollWidth") == 390
    one.get_by_role("button", name="Forget these pictures").click()
    expect(one.get_by_text("No pictures yet")).to_be_visible()
    assert list_pages(one) == []
    assert list_pages(other) == paths[2:]


def test_a_photo_is_among_the_pictures_of_the_phone_that_sent_it_at_once(
    open_phone: Callable[[], Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    phone = open_phone()
    response = phone.request.post(
        f"{display.url}/send/photo?recipe=curls&consent=yes",
        data=make_circle_jpeg((9, 9, 9)),
        headers={"Origin": display.url},
    )
    assert response.status == 201
    assert list_pages(phone) == [response.json()["page"]]
    expect(phone.get_by_text("Your photo has arrived")).to_be_visible()
    assert list_pages(open_phone()) == []


def test_the_page_shows_no_more_than_the_links_do(
    pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    shown, hidden, expired = (add_shown_dream(display, pipeline, (10, 90, blue)) for blue in (10, 90, 200))
    tokens = [share_links.make_token(job.id) for job in (shown, hidden)]
    tokens.append(share_links.make_token(expired.id, expires_at=time.time() - 7200))
    tokens += ["f" * 40, share_links.make_token("e" * 32)]  # forged, and of a job that is not known

    def read() -> str:
        response = send_request(display, f"{COLLECTION_PATH}/state", Cookie=cookies_of(*tokens))
        assert response.getheader("Cache-Control") == "no-store"
        return response.body.decode()  # type: ignore[attr-defined]

    assert [token in read() for token in tokens] == [True, True, False, False, False]
    assert shown.photo_id not in read()
    JobTable(pipeline.client).hide(Hidden(job_id=hidden.id, photo_id=hidden.photo_id))
    wait_until(lambda: tokens[1] not in read(), "the hidden dream is gone")
    assert tokens[0] in read()


def test_an_open_page_lets_go_of_a_dream_that_is_hidden(
    open_phone: Callable[[], Page], pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    """Seen failing: it stayed until the page was loaded again."""
    kept, hidden = (add_shown_dream(display, pipeline, (10, 90, blue)) for blue in (10, 90))
    phone = open_phone()
    for job in (kept, hidden):
        phone.goto(f"/t/{share_links.make_token(job.id)}")
    install_clock(phone)
    phone.goto(COLLECTION_PATH)
    expect(phone.get_by_role("img")).to_have_count(2)
    JobTable(pipeline.client).hide(Hidden(job_id=hidden.id, photo_id=hidden.photo_id))
    path = f"/t/{share_links.make_token(hidden.id)}/dream.jpg"
    wait_until(lambda: send_request(display, path).status == 404, "the display knows")
    phone.clock.fast_forward(10_000)
    expect(phone.get_by_role("img")).to_have_count(1)


def test_the_pages_of_a_phone_lead_to_each_other_in_the_language_of_the_link(
    open_phone: Callable[[], Page], pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    """Seen failing: they fell back to the language of the browser."""
    phone = open_phone()
    phone.goto(f"/t/{share_links.make_token(add_shown_dream(display, pipeline, (10, 90, 40)).id)}?lang=de")
    phone.get_by_role("link", name="Meine Bilder").click()
    phone.wait_for_url(f"**{COLLECTION_PATH}?lang=de")
    expect(phone.get_by_role("heading", name="Meine Bilder")).to_be_visible()
    phone.locator(".pictures a").click()
    phone.wait_for_url("**/t/*?lang=de")
    expect(phone.locator("html")).to_have_attribute("lang", "de")


def test_the_cookie_is_for_this_page_alone_and_ends_with_the_link(
    pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    job = add_shown_dream(display, pipeline, (10, 90, 40))
    header = send_request(display, f"/t/{share_links.make_token(job.id)}").getheader("Set-Cookie") or ""
    (cookie,) = SimpleCookie(header).values()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "lax", "/mine")
    assert not cookie["secure"]  # the connection is not
    assert 29 * 86_400 < int(cookie["max-age"]) < 31 * 86_400
    for path in (f"/t/{'f' * 40}", f"/t/{share_links.make_token(job.id, expires_at=time.time() - 7200)}"):
        assert send_request(display, path).getheader("Set-Cookie") is None


def test_a_phone_keeps_a_limited_number_of_pictures(
    pipeline: FakePipeline, share_links: ShareLinks, display: DisplayProcess
) -> None:
    now = time.time()
    tokens = [share_links.make_token(f"{n:032x}", expires_at=now + 3600 * (n + 2)) for n in range(MAX_PICTURES + 2)]
    response = send_request(display, COLLECTION_PATH, Cookie=cookies_of(*tokens))
    removed = [value.partition("=")[0] for value in response.headers.get_all("Set-Cookie") or []]
    assert removed == [f"artdream_mine_{0:012}", f"artdream_mine_{0:012}"]  # of the links that end first


def test_another_site_cannot_make_a_phone_forget(display: DisplayProcess) -> None:
    for headers in ({}, {"Origin": "https://elsewhere.example"}):
        assert send_request(display, f"{COLLECTION_PATH}/forget", method="POST", **headers).status == 403
