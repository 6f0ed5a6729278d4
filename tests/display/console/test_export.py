"""The download of all dreams while the store becomes unavailable."""

import http.client
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from shared.settings import Settings
from shared.storage.object_names import dream_name
from tests.display.conftest import PASSCODE, DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import add_shown_dream

#: Bytes of a picture that is larger than all buffers of a connection: the display reads the next one, and then waits.
LARGE_BYTES = 20_000_000


@pytest.fixture
def display_settings(display_settings: Settings) -> Settings:
    return display_settings.model_copy(update={"passcode": Settings(passcode=PASSCODE).passcode})


@contextmanager
def open_download(display: DisplayProcess) -> Iterator[http.client.HTTPResponse]:
    """Log in, and request all dreams; yield the response, of which nothing has been read but its headers."""
    with closing(http.client.HTTPConnection("127.0.0.1", display.settings.port, timeout=60)) as connection:
        connection.request("POST", "/console/enter", urlencode({"passcode": PASSCODE}), {"Origin": display.url})
        with connection.getresponse() as answer:
            answer.read()
            session = (answer.getheader("Set-Cookie") or "").partition(";")[0]
        connection.request("GET", "/console/export.zip", headers={"Cookie": session})
        with connection.getresponse() as response:
            yield response


def take_store_away(settings: Settings) -> Path:
    """Make the store unusable by moving its folder; return where it was moved."""
    folder = settings.data / "store"
    moved_folder = folder.rename(folder.with_name("away"))
    folder.touch()
    return moved_folder


def test_without_the_store_there_is_no_file_to_save(display: DisplayProcess, pipeline: FakePipeline) -> None:
    """Seen failing: the browser saved a file of 0 bytes, and the log had a traceback."""
    add_shown_dream(display, pipeline, (1, 2, 3))
    take_store_away(display.settings)
    with open_download(display) as response:
        assert (response.status, response.getheader("Retry-After")) == (503, "2")
    _, output, _ = display.stop()
    assert "Traceback" not in output


def test_a_download_whose_store_fails_is_cut_off_and_the_log_says_so_in_a_line(
    display_settings: Settings, pipeline: FakePipeline
) -> None:
    """Seen failing: the log had the traceback of the store's error."""
    display = DisplayProcess(display_settings)
    display.start()
    try:
        for color in ((1, 2, 3), (4, 5, 6), (7, 8, 9)):
            pipeline.store.put(dream_name(add_shown_dream(display, pipeline, color).id), bytes(LARGE_BYTES))
        with open_download(display) as response:
            assert response.status == 200
            take_store_away(display_settings)
            with pytest.raises(http.client.IncompleteRead):
                response.read()
    finally:
        _, output, _ = display.stop()
    assert len(re.findall("A download of all dreams was cut off: .+", output)) == 1
    assert "Traceback" not in output
