"""Fixtures of the display tests: a display process of its own for each test, and a browser for each module.

Display and broker are as good as new in each test: the display is forked from a warm process, the broker is emptied.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any
from urllib.request import urlopen

import pytest
import redis
from playwright.sync_api import Page

from display.pages.share_links import ShareLinks
from shared.guest_upload_names import GUEST_UPLOADS_FOLDER, touch_producer_mark
from shared.settings import Settings
from shared.storage.store import Store
from tests.browser import ContextPool, launch_chromium
from tests.display.fake_pipeline import FakePipeline
from tests.display.forkserver import start_display
from tests.servers import Valkey
from tests.stack import free_port
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until

#: Address under which phones reach the display, and the operator's passcode, where a test needs them.
PUBLIC_URL, PASSCODE = "http://192.168.100.200:8501", "open sesame"


class DisplayProcess:
    """A display in a process of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{settings.port}"
        self._process: BaseProcess | None = None
        self._output_path = settings.data.with_name("display.log")

    def start(self) -> None:
        """Start and wait until the server answers."""
        self._output_path.write_text("")
        self._process = start_display(os.environ | self.settings.to_environment(), self._output_path)

        def is_answering() -> bool:
            try:
                with urlopen(f"{self.url}/_stcore/health", timeout=5):
                    return True
            except OSError:  # it does not listen yet, or takes its time
                return False

        wait_until(is_answering, "the display answers", explain=self._output_path.read_text)

    @property
    def pid(self) -> int:
        """The process id of the running display."""
        assert self._process
        assert self._process.pid
        return self._process.pid

    def suspend(self) -> None:
        """Stop the process with SIGSTOP, as a machine that goes to sleep does."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the suspended process."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int | None, str, float]:
        """Stop the display; return its exit code (None if it did not end), its output and the seconds that took."""
        if self._process is None:
            return 0, "", 0.0
        started = time.monotonic()
        os.kill(self.pid, signal_number)
        self._process.join(WAIT_TIMEOUT_SECONDS)
        exit_code, self._process = self._process.exitcode, None
        return exit_code, self._output_path.read_text(), time.monotonic() - started


@contextmanager
def running_display(settings: Settings) -> Iterator[DisplayProcess]:
    """Run a display, which must stop with status 0 and without output."""
    display = DisplayProcess(settings)
    display.start()
    try:
        yield display
    finally:
        exit_code, output, _ = display.stop()
    assert (exit_code, output) == (0, "")


@pytest.fixture
def valkey(_valkey_server: Valkey, broker_url: str) -> Iterator[Valkey]:
    """The broker, for a test that stops it or lets it hang."""
    yield _valkey_server
    _valkey_server.stop()
    _valkey_server.start()


@pytest.fixture(scope="session")
def display_port() -> int:
    """Return the port of one display after another, so that a browser finds in its cache what an earlier one sent."""
    return free_port()


@pytest.fixture
def display_settings(settings: Settings, display_port: int) -> Settings:
    announce_producer(settings)
    return settings.model_copy(update={"port": display_port})


@pytest.fixture
def pipeline(client: redis.Redis, display_settings: Settings) -> FakePipeline:
    return FakePipeline(client, Store(display_settings.store))


@pytest.fixture
def display(display_settings: Settings) -> Iterator[DisplayProcess]:
    """A running display, which must stop with status 0 and without output."""
    with running_display(display_settings) as display:
        yield display


@pytest.fixture
def share_links(display_settings: Settings, display: DisplayProcess) -> ShareLinks:
    """The share links of a running display."""
    return ShareLinks(display_settings)


@pytest.fixture(scope="module")
def shared_display(_valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DisplayProcess]:
    """A running display for all tests of a module that change nothing in it."""
    settings = Settings(
        data=tmp_path_factory.mktemp("shared") / "data",
        broker_url=_valkey_server.url,
        port=free_port(),
        public_url=PUBLIC_URL,
        passcode=PASSCODE,
        _env_file=None,
    )
    announce_producer(settings)
    with running_display(settings) as display:
        yield display


def announce_producer(settings: Settings) -> None:
    """Let displays believe for a day that a producer takes what guests send to this data folder."""
    mark = settings.data / GUEST_UPLOADS_FOLDER / ".producer"
    mark.parent.mkdir(parents=True, exist_ok=True)
    touch_producer_mark(settings.data)
    tomorrow = time.time() + 24 * 3600
    os.utime(mark, (tomorrow, tomorrow))


@pytest.fixture(scope="module")
def _context_pool() -> Iterator[ContextPool]:
    with launch_chromium() as browser:
        yield ContextPool(browser)


@pytest.fixture
def contexts(_context_pool: ContextPool) -> Iterator[ContextPool]:
    """Browser contexts for this test, whose pages are closed at its end."""
    yield _context_pool
    _context_pool.release()


def make_page(
    contexts: ContextPool, display: DisplayProcess, width: int = 1440, height: int = 900, **options: Any
) -> Page:
    """Return an empty page in a browser context of its own, whose URLs begin at the display.

    width, height: in pixels. options: of the context.
    """
    return contexts.new_page(display.url, width, height, **options)


@pytest.fixture
def new_page(display: DisplayProcess, contexts: ContextPool) -> Callable[..., Page]:
    """`make_page` for this display."""
    return partial(make_page, contexts, display)


@pytest.fixture
def open_page(new_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open a path of the display in a page as of `new_page`."""

    def open_page(path: str, width: int = 1440, height: int = 900, **options: object) -> Page:
        page = new_page(width, height, **options)
        page.goto(path)
        return page

    return open_page


@pytest.fixture
def open_wall(open_page: Callable[..., Page]) -> Callable[..., Page]:
    """Open the wall in a browser of its own of the given size in pixels.

    is_moving: whether pictures fade and move, as guests see it. Where nothing does, the browser draws much less.
    """

    def open_wall(width: int = 1280, height: int = 800, *, is_moving: bool = False) -> Page:
        page = open_page("/", width, height, reduced_motion="no-preference" if is_moving else "reduce")
        page.wait_for_selector(".wall:not([data-scene=dark])")
        return page

    return open_wall


@pytest.fixture
def wall(open_wall: Callable[..., Page]) -> Page:
    return open_wall()
