"""The web server of the display."""

import socket
from urllib.request import urlopen

import psutil
import pytest

from display.server import serve
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
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
        assert b"<head><style>html { background: #0b0a09 }</style>" in response.read()


def test_a_display_says_that_it_is_there(display: DisplayProcess, pipeline: FakePipeline) -> None:
    registry = HeartbeatRegistry(pipeline.client)
    wait_until(lambda: bool(registry.list_heartbeats()), "the display sends a heartbeat")
    (heartbeat,) = registry.list_heartbeats()
    assert (heartbeat.part, heartbeat.state, heartbeat.detail) == (Component.DISPLAY, "showing", display.url)


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
    assert seconds < 5
