"""The web server of the display."""

import re
import socket
from urllib.request import urlopen

import psutil
import pytest
from streamlit.runtime import Runtime

from display.server import create_app, serve
from display.web.streamlit_routes import OPEN_PATHS, is_closed
from shared.broker.client import SOCKET_TIMEOUT_SECONDS
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.servers import Valkey
from tests.waiting import wait_until


def test_a_taken_port_is_said_in_one_sentence(display_settings: Settings) -> None:
    with (
        socket.create_server(("127.0.0.1", display_settings.port)),
        pytest.raises(ArtDreamError, match=f"port {display_settings.port}"),
    ):
        serve(display_settings)


def test_the_page_is_dark_from_its_first_moment(display: DisplayProcess) -> None:
    with urlopen(display.url) as response:
        head = re.search(rb"<head><style>(.*?)</style>", response.read())
    assert head
    assert b"html { background: #0b0a09 }" in head[1]


def test_a_display_says_that_it_is_there(display: DisplayProcess, pipeline: FakePipeline) -> None:
    registry = HeartbeatRegistry(pipeline.client)

    def is_announced() -> bool:
        heartbeats = registry.list_heartbeats()  # also of a display that another test has just stopped
        return (Component.DISPLAY, "showing", display.url) in [
            (each.part, each.state, each.detail) for each in heartbeats
        ]

    wait_until(is_announced, "the display sends a heartbeat")


#: Methods and paths by which a browser gives Streamlit files, reads its counters, and fills its log.
STREAMLIT_REQUESTS = [
    ("PUT", "/_stcore/upload_file/session/file"),
    ("DELETE", "/_stcore/upload_file/session/file"),
    ("PUT", "/_stcore/upload%5Ffile/session/file"),
    ("GET", "/_stcore/metrics"),
    ("POST", "/_stcore/agent/interact"),
    ("GET", "/auth/login"),
    ("GET", "/auth/logout"),
    ("GET", "/oauth2callback"),
    ("GET", "/media/file"),
    ("GET", "/component/name/index.html"),
]


@pytest.mark.parametrize(("method", "path"), STREAMLIT_REQUESTS)
def test_a_guest_reaches_nothing_of_streamlit_s_that_no_page_needs(
    shared_display: DisplayProcess, method: str, path: str
) -> None:
    """Seen failing: files up to 200 MB were kept in the display's memory, and metrics were public."""
    response = send_request(shared_display, path, method=method)
    assert response.status == 404
    assert b"<html" not in response.body  # type: ignore[attr-defined]


def test_another_version_of_streamlit_opens_nothing_new(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Runtime, "_instance", None)  # one process has one
    paths: list[str] = [route.path for route in create_app(settings)._build_starlette_app().routes]  # type: ignore[attr-defined]
    *streamlit_paths, files_path = paths[paths.index("/_stcore/health") :]
    assert files_path == ""  # the scripts of Streamlit's page, and that page at every other path
    assert {path for path in streamlit_paths if not is_closed(re.sub("{.*?}", "x", path))} == OPEN_PATHS


def test_a_display_ends_quickly_also_where_the_broker_hangs(
    display: DisplayProcess, valkey: Valkey, pipeline: FakePipeline
) -> None:
    def count_connections() -> int:
        connections = psutil.Process(display.pid).net_connections()
        return sum(connection.raddr[1:] == (valkey.port,) for connection in connections)

    wait_until(lambda: bool(HeartbeatRegistry(pipeline.client).list_heartbeats()), "the display sends a heartbeat")
    valkey.hang()
    wait_until(lambda: count_connections() > 1, "another connection than that of the stream reader hangs")
    _, _, seconds = display.stop()
    assert seconds < SOCKET_TIMEOUT_SECONDS
