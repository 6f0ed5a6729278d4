"""The operator's console in a real browser."""

import io
import re
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from display.console.sessions import MAX_FAILURES_PER_ADDRESS
from shared.jobs.job import State
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.redis_keys import STREAM
from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import dream_name, sidecar_name
from shared.storage.sidecar import ModerationScores
from tests.display.conftest import PASSCODE, PUBLIC_URL, DisplayProcess, running_display
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import add_shown_dream, send_request
from tests.waiting import wait_until


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"passcode": Settings(passcode=PASSCODE).passcode})


def log_in(page: Page) -> Page:
    page.get_by_label("passcode").fill(PASSCODE)
    page.get_by_role("button").click()
    page.get_by_role("tab", name="Dreams").wait_for()
    return page


@pytest.fixture
def console(open_page: Callable[..., Page]) -> Page:
    return log_in(open_page("/console"))


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def repeat_until_visible(action: Callable[[], None], locator: Locator) -> None:
    """Act again every five seconds until something is visible: Streamlit loses what is done while it redraws a page."""
    for _ in range(60):
        action()
        with suppress(AssertionError):
            expect(locator).to_be_visible(timeout=5_000)
            break
    expect(locator).to_be_visible()


def refresh_until_visible(page: Page, tab: str, locator: Locator) -> None:
    refresh = page.get_by_role("tabpanel", name=tab).get_by_role("button", name="Refresh")
    repeat_until_visible(refresh.click, locator)


def test_who_does_not_know_the_passcode_sees_nothing(
    open_page: Callable[..., Page], display: DisplayProcess, pipeline: FakePipeline
) -> None:
    job = pipeline.add_dream((1, 2, 3))
    page = open_page("/console")
    page.get_by_label("passcode").fill("a wrong guess")
    page.get_by_role("button").click()
    expect(page.get_by_role("status")).to_have_text("Wrong passcode.")
    assert send_request(display, "/console/export.zip").status == 303
    assert send_request(display, f"/console/pictures/{job.id}/dream.jpg").status == 404
    # The page behind the login shows nothing either: Streamlit's client can go there from the wall.
    page.goto("/")
    page.wait_for_selector(".wall:not([data-scene=dark])")
    page.evaluate("() => { history.pushState({}, '', '/console'); dispatchEvent(new PopStateEvent('popstate')) }")
    expect(page.get_by_text("The console is locked")).to_be_visible()
    assert page.get_by_role("tab").count() == 0


def test_the_operator_finds_the_other_pages_from_the_console(console: Page) -> None:
    for name, heading in {"Gallery": "Dreams", "Map": "Art map", "Upload page": "Let a photo dream"}.items():
        with console.expect_popup() as popup:
            console.get_by_role("link", name=name, exact=True).click()
        expect(popup.value.get_by_role("heading", name=heading)).to_be_visible()


def test_who_guesses_is_told_to_wait(open_page: Callable[..., Page]) -> None:
    page = open_page("/console")
    for _ in range(6):
        page.get_by_label("passcode").fill("a wrong guess")
        page.get_by_role("button").click()
        page.wait_for_load_state()
    expect(page.get_by_role("status")).to_contain_text("Too many wrong passcodes")


def test_a_form_of_another_page_opens_nothing_and_says_why(display: DisplayProcess) -> None:
    response = send_request(display, "/console/enter", method="POST", Origin="http://elsewhere.example")
    assert response.status == 403
    assert b"ARTDREAM_PUBLIC_URL" in response.body  # type: ignore[attr-defined]


def send_guess(display: DisplayProcess, **headers: str) -> int:
    """Send a wrong passcode; return the status of the answer."""
    return send_request(display, "/console/enter", method="POST", **headers).status


def test_the_console_opens_behind_a_proxy_that_asks_by_another_name(shared_display: DisplayProcess) -> None:
    """Seen failing: the form was refused as that of another page, and the answer was empty."""
    response = send_request(shared_display, "/console/enter", method="POST", Origin=PUBLIC_URL)
    assert b"Wrong passcode." in response.body  # type: ignore[attr-defined]


def test_nobody_chooses_the_address_that_guesses_are_counted_by(display: DisplayProcess) -> None:
    """Seen failing: whoever came from this machine, through a tunnel for example, was believed."""
    for number in range(MAX_FAILURES_PER_ADDRESS):
        assert send_guess(display, X_Forwarded_For=f"192.0.2.{number}") == 403
    assert send_guess(display, X_Forwarded_For="192.0.2.99") == 429


def test_guests_behind_a_proxy_that_is_trusted_count_one_by_one(display_settings: Settings) -> None:
    with running_display(display_settings.model_copy(update={"trusted_proxies": "10.0.0.0/8, 127.0.0.1"})) as display:
        for number in range(MAX_FAILURES_PER_ADDRESS + 1):
            assert send_guess(display, X_Forwarded_For=f"192.0.2.{number}") == 403
        for _ in range(MAX_FAILURES_PER_ADDRESS):
            send_guess(display, X_Forwarded_For="192.0.2.1")
        assert send_guess(display, X_Forwarded_For="192.0.2.1") == 429
        assert send_guess(display, X_Forwarded_For="192.0.2.2") == 403


def test_a_session_outlives_a_reload_and_ends_when_it_is_locked(console: Page) -> None:
    console.reload()
    console.get_by_role("tab", name="Dreams").wait_for()
    console.get_by_role("button", name="Log out").click()
    expect(console.get_by_text("The console is locked")).to_be_visible()
    console.reload()
    expect(console.get_by_label("passcode")).to_be_visible()


@pytest.mark.slow
def test_no_link_of_another_page_locks_the_console(console: Page) -> None:
    """Seen failing: a GET of /console/leave ended the session."""
    console.goto("/console/leave")
    console.goto("/console")
    expect(console.get_by_role("tab", name="Dreams")).to_be_visible()


def test_a_console_that_was_locked_does_nothing_more_in_any_tab(
    console: Page, pipeline: FakePipeline, display_settings: Settings
) -> None:
    """Seen failing: only a reload of the other tab asked whether the session was still valid."""
    open_tab(console, "Settings")
    console.get_by_text("Pause the intake").click()
    other_tab = console.context.new_page()
    other_tab.goto("/console")
    other_tab.get_by_role("button", name="Log out").click()
    expect(other_tab.get_by_text("The console is locked")).to_be_visible()

    def submit() -> None:
        # It may be gone already: the table of components is redrawn every two seconds.
        console.evaluate("document.querySelector('[data-testid=stBaseButton-primaryFormSubmit]')?.click()")

    # Streamlit may drop one of two drawings that are asked for at once.
    repeat_until_visible(submit, console.get_by_text("The console is locked"))
    expect(console.get_by_role("tab")).to_have_count(0)
    assert not read_runtime_settings(pipeline.client, display_settings).paused


#: Part of what Streamlit's client sends when "Refresh" of the errors is clicked: the button's key and a true value.
CLICK = b"refresh-faults\x10\x01"


class Relay:
    """What a page and Streamlit's server say to each other, on its way through the test."""

    def __init__(self, page: Page) -> None:
        self.requests: list[bytes] = []
        self.finished_drawings = 0
        self._server: WebSocketRoute | None = None
        page.route_web_socket("**/_stcore/stream", self._connect)

    def _connect(self, client: WebSocketRoute) -> None:
        self._server = server = client.connect_to_server()

        def forward_answer(message: str | bytes) -> None:
            self.finished_drawings += message == b"J\0"  # the server's state: no script runs
            client.send(message)

        client.on_message(lambda message: self.send(cast("bytes", message)))
        server.on_message(forward_answer)

    def send(self, request: bytes) -> None:
        """Send a request as the page would."""
        self.requests.append(request)
        assert self._server
        self._server.send(request)


def test_a_click_that_comes_too_late_does_not_empty_the_page_of_a_locked_console(
    new_page: Callable[..., Page], open_page: Callable[..., Page]
) -> None:
    """Seen failing: Streamlit drew the tab that was clicked into a page without tabs, and its client gave up."""
    page = new_page()
    relay = Relay(page)
    page.goto("/console")
    log_in(page)
    open_tab(page, "Errors")
    page.get_by_role("button", name="Refresh").filter(visible=True).click()
    # To ask the page for something lets what it has sent arrive here.
    wait_until(lambda: page.title() and any(CLICK in request for request in relay.requests), "the click is sent")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("The console is locked")).to_be_visible()
    wall = open_page("/")
    for _ in range(5):  # one answer in two did harm
        relay.send(next(request for request in relay.requests if CLICK in request))
        # Streamlit answers nothing; by the time that it has drawn another page it would have.
        wall.reload()
        wall.wait_for_selector(".wall:not([data-scene=dark])")
    drawings = relay.finished_drawings
    page.keyboard.press("r")
    wait_until(lambda: page.title() and relay.finished_drawings > drawings, "the page is redrawn")
    expect(page.get_by_text("The console is locked")).to_be_visible()


def test_the_operator_sees_which_workers_consume_and_which_are_only_alive(
    console: Page, pipeline: FakePipeline
) -> None:
    registry = HeartbeatRegistry(pipeline.client)
    registry.announce(Component.WORKER, "gpu-1", "ready", since=time.time() - 100)
    pipeline.submit_photo((1, 2, 3))

    def is_reported() -> bool:
        registry.announce(Component.WORKER, "gpu-1", "ready", since=time.time() - 100)
        return console.get_by_text("gpu-1: running, but takes none of the queued jobs").count() > 0

    wait_until(is_reported, "the worker is said not to consume")


def test_the_operator_hears_of_events_that_cannot_be_read(console: Page, pipeline: FakePipeline) -> None:
    pipeline.client.xadd(STREAM, {"event": '{"type": "from the future", "version": 7}'})
    pipeline.client.xadd(STREAM, {"event": "{"})
    expect(console.get_by_text("Unreadable events: 2.")).to_be_visible()


def test_what_waits_for_approval_is_on_no_wall_until_it_is_approved(
    console: Page, open_page: Callable[..., Page], pipeline: FakePipeline
) -> None:
    update_runtime_settings(pipeline.client, approval=True)
    wall = open_page("/")
    wall.wait_for_selector(".wall[data-scene=invitation]")
    job = pipeline.add_dream((1, 2, 3))
    open_tab(console, "Dreams")
    button = console.get_by_role("button", name="Approve", exact=True)
    refresh_until_visible(console, "Dreams", button)
    assert wall.locator(f"[data-job-id='{job.id}']").count() == 0
    button.click()
    wall.wait_for_selector(f".wall[data-scene=dream] img[data-dream='{dream_name(job.id)}']")


def test_the_operator_sees_why_a_dream_waits(console: Page, pipeline: FakePipeline) -> None:
    """Moderation holds it with a score, or because it could not score; or every dream needs approval."""
    scores = ModerationScores(network="0" * 64, threshold=0.5, photo=0.02, frames=0.874, dream=0.31)
    for color, moderation in (((1, 2, 3), scores), ((4, 5, 6), scores.with_score("dream", None))):
        job = pipeline.submit_photo(color)
        pipeline.complete_job(pipeline.claim_job(job), moderation=moderation)
    expect(console.get_by_text("Dreams that wait for approval: 2.")).to_be_visible()
    update_runtime_settings(pipeline.client, approval=True)
    pipeline.add_dream((7, 8, 9))
    open_tab(console, "Dreams")
    for reason in (
        "Held by moderation, 0.87: photo 0.02, frames 0.87, dream 0.31.",
        "Held by moderation: a picture could not be scored.",
        "Approval is required.",
    ):
        refresh_until_visible(console, "Dreams", console.get_by_text(reason))
    with console.expect_popup() as popup:
        console.get_by_role("link", name="See the photo").first.click()
    assert popup.value.locator("img").evaluate("image => image.naturalWidth") == 320


def test_a_deleted_dream_leaves_every_wall_and_every_gallery_at_once(
    console: Page, open_page: Callable[..., Page], pipeline: FakePipeline, display: DisplayProcess
) -> None:
    job = pipeline.add_dream((1, 2, 3))
    wall, gallery = open_page("/"), open_page("/gallery")
    wall.wait_for_selector(f"img[data-dream='{dream_name(job.id)}']")
    gallery.wait_for_selector(f"[data-job-id='{job.id}']")
    open_tab(console, "Dreams")
    button = console.get_by_role("button", name="Delete", exact=True)
    refresh_until_visible(console, "Dreams", button)
    button.click()
    console.get_by_role("button", name="Delete permanently").click()
    wall.wait_for_selector(".wall[data-scene=invitation]")
    wait_until(lambda: gallery.locator(f"[data-job-id='{job.id}']").count() == 0, "the dream leaves the gallery")
    wait_until(lambda: pipeline.store.get(sidecar_name(job.id)) is None, "the dream leaves the store")
    assert wall.locator("img[src]").count() == 0
    assert send_request(display, f"/pictures/{dream_name(job.id)}").status == 404
    display.stop()
    display.start()  # a restarted display does not find it either
    wall.reload()
    wall.wait_for_selector(".wall[data-scene=invitation]")


def test_a_failed_job_and_a_file_set_aside_are_tried_again(
    console: Page, pipeline: FakePipeline, display_settings: Settings
) -> None:
    job = pipeline.submit_photo((4, 4, 4))
    pipeline.fail_job(pipeline.claim_job(job))
    quarantine = display_settings.data / "quarantine"
    quarantine.mkdir(parents=True)
    (quarantine / "abcd1234-IMG_7.HEIC").write_bytes(b"cut")
    (quarantine / "abcd1234-IMG_7.HEIC.reason.txt").write_text("IMG_7.HEIC is damaged.\n")
    open_tab(console, "Errors")
    # The display may not have read yet that the job failed.
    refresh_until_visible(console, "Errors", console.get_by_text("It cannot be dreamt."))
    expect(console.get_by_text("IMG_7.HEIC is damaged.")).to_be_visible()
    console.get_by_role("button", name="Try again").first.click()
    wait_until(lambda: JobTable(pipeline.client).get_state(job.id) is State.QUEUED, "the job is in its lane again")
    console.get_by_role("button", name="Try again").last.click()
    wait_until(
        lambda: [file.read_bytes() for file in display_settings.inbox.glob("*.HEIC")] == [b"cut"], "the file is back"
    )
    wait_until(lambda: list(quarantine.iterdir()) == [], "nothing is left in the quarantine")


def test_changed_runtime_settings_reach_every_component(
    console: Page, pipeline: FakePipeline, display_settings: Settings
) -> None:
    open_tab(console, "Settings")
    console.get_by_text("Pause the intake").click()
    console.get_by_role("button", name="Save").click()
    wait_until(lambda: read_runtime_settings(pipeline.client, display_settings).paused, "the intake is paused")
    open_tab(console, "Status")
    expect(console.get_by_text("The intake is paused")).to_be_visible()


@pytest.mark.slow
def test_a_chosen_recipe_that_this_version_lacks_does_not_close_the_form(
    console: Page, pipeline: FakePipeline, display_settings: Settings
) -> None:
    update_runtime_settings(pipeline.client, recipes=("of-another-version", "lines"))
    console.reload()
    open_tab(console, "Settings")
    expect(console.get_by_title("lines", exact=True)).to_be_visible()
    console.get_by_role("button", name="Save").click()
    wait_until(
        lambda: read_runtime_settings(pipeline.client, display_settings).recipes == ("lines",), "the recipe is left out"
    )


#: Returns the contrast ratio of an element's text and its background (WCAG 2.2, 1.4.3).
CONTRAST_SCRIPT = """(element) => {
  const rgb = (text) => text.match(/[0-9.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue].map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  let behind = element;
  while ((rgb(getComputedStyle(behind).backgroundColor)[3] ?? 1) < 1) behind = behind.parentElement;
  const [dark, bright] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
    .map((text) => light(rgb(text))).sort((one, other) => one - other);
  return (bright + 0.05) / (dark + 0.05);
}"""


@pytest.mark.slow
def test_what_stands_on_the_accent_can_be_read(console: Page, pipeline: FakePipeline) -> None:
    update_runtime_settings(pipeline.client, recipes=("lines",))
    open_tab(console, "Settings")
    apply = console.get_by_role("button", name="Save").locator("p")
    assert apply.evaluate(CONTRAST_SCRIPT) >= 4.5
    console.reload()
    open_tab(console, "Settings")
    assert console.get_by_title("lines", exact=True).evaluate(CONTRAST_SCRIPT) >= 4.5
    for name in ("Status", "Settings"):
        assert console.get_by_role("tab", name=name).locator("p").evaluate(CONTRAST_SCRIPT) >= 4.5


def test_all_dreams_are_saved_as_a_zip(console: Page, display: DisplayProcess, pipeline: FakePipeline) -> None:
    jobs = [add_shown_dream(display, pipeline, (10 * number, 0, 0)) for number in range(1, 4)]
    open_tab(console, "Settings")
    with console.expect_download() as download:
        console.get_by_text("Download all dreams (ZIP)").click()
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 3 * len(jobs)
        dreams = {archive.read(name) for name in archive.namelist() if name.endswith(f"{jobs[0].id[:8]}.jpg")}
    assert dreams == {pipeline.store.get(dream_name(jobs[0].id))}


def test_the_console_speaks_german_from_the_login_on(open_page: Callable[..., Page], pipeline: FakePipeline) -> None:
    pipeline.add_dream((1, 2, 3))
    page = open_page("/console?lang=de")
    page.get_by_label("Kennwort").fill("falsch geraten")
    page.get_by_role("button", name="Anmelden").click()
    expect(page.get_by_role("status")).to_have_text("Falsches Kennwort.")
    page.get_by_label("Kennwort").fill(PASSCODE)
    page.get_by_role("button", name="Anmelden").click()
    expect(page.get_by_text("Es läuft kein Worker")).to_be_visible()
    for name, button in {"Träume": "Verbergen", "Fehler": "Aktualisieren", "Einstellungen": "Speichern"}.items():
        open_tab(page, name)
        expect(page.get_by_role("button", name=button).last).to_be_visible()
    page.get_by_role("button", name="Abmelden").click()
    expect(page.get_by_text("Die Konsole ist")).to_be_visible()


@pytest.mark.parametrize("width", [390, *(pytest.param(width, marks=pytest.mark.slow) for width in (1440, 1920))])
def test_the_console_needs_no_sideways_scroll(
    open_page: Callable[..., Page], pipeline: FakePipeline, width: int
) -> None:
    pipeline.add_dream((1, 2, 3))
    page = log_in(open_page("/console", width, 844))
    for name in ("Status", "Dreams", "Errors", "Settings"):
        open_tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_passcode_there_is_no_console(display_settings: Settings) -> None:
    with running_display(display_settings.model_copy(update={"passcode": None})) as display:
        response = send_request(display, "/console")
    assert response.status == 404
    assert b"Set ARTDREAM_PASSCODE" in response.body  # type: ignore[attr-defined]


def test_the_operator_names_a_screen_and_an_open_wall_shows_what_was_chosen_for_it(
    console: Page, open_page: Callable[..., Page], pipeline: FakePipeline
) -> None:
    chosen, other = (pipeline.add_dream((90 * number, 60, 30)) for number in range(2))
    screen = open_page("/?screen=hall-2", reduced_motion="reduce")
    screen.wait_for_selector(f'.dream img[data-dream][data-job-id="{other.id}"]')
    open_tab(console, "Screens")
    refresh_until_visible(console, "Screens", console.get_by_text(re.compile(r"hall-2\s+connected")))
    console.get_by_label("Name of a screen").fill("Not a name")
    console.get_by_role("button", name="Add a screen").click()
    expect(console.get_by_text("is no name of a screen")).to_be_visible()

    def choose_dreams() -> None:
        console.get_by_role("combobox", name="Shows").click()
        console.get_by_role("option", name="chosen dreams").click()

    save = console.get_by_role("button", name="Save", disabled=False).first
    repeat_until_visible(choose_dreams, save)
    save.click()
    screen.wait_for_selector(".wall[data-scene=invitation]")
    open_tab(console, "Dreams")
    row = console.get_by_test_id("stVerticalBlock").filter(has_text=chosen.id[:8]).last
    button = row.get_by_role("button", name="Screens")
    refresh_until_visible(console, "Dreams", button)
    button.click()
    console.get_by_role("button", name="Show on hall-2").click()
    screen.wait_for_selector(f'.dream img[data-dream][data-job-id="{chosen.id}"]')
