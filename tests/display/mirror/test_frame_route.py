"""The mirror's WebSocket: what a browser gets, and what happens to others."""

import asyncio
import io
from collections.abc import Iterator, MutableMapping
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from PIL import Image
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

import display.mirror.frame_route as frame_route_module
from display.mirror.frame_painter import MAX_MIRRORS, FramePainter
from display.mirror.frame_route import CLOSED_IDLE, MAX_MESSAGE_BYTES, frame_route
from display.mirror.stylizer import NETWORK_FOLDER, Stylizer
from shared.settings import Settings
from tests.display.conftest import DisplayProcess
from tests.display.mirror.camera import read_scene, to_jpeg
from tests.display.mirror.mirror_client import MirrorClient, open_mirror
from tests.waiting import wait_until

FRAME = to_jpeg(read_scene())


@pytest.fixture(scope="module")
def shares(stylizer: Stylizer) -> bytes:
    """Of the first style."""
    return bytes([255] + [0] * (len(stylizer.metadata.styles) - 1))


@pytest.fixture
def mirror(mirror_display: DisplayProcess) -> Iterator[MirrorClient]:
    with open_mirror(mirror_display.settings.port) as mirror:
        yield mirror


def test_a_frame_is_answered_with_its_painting(mirror: MirrorClient, shares: bytes) -> None:
    for _ in range(3):
        painting = Image.open(io.BytesIO(mirror.paint(FRAME, shares)))
        assert (painting.format, painting.size) == ("JPEG", (384, 288))


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("text", 1003, "a frame is a binary message"),
        (b"", 1007, "no style has a share"),
        (b"\xff", 1007, "the frame is not a JPEG"),
        (b"shares and no JPEG at all", 1007, "the frame is not a JPEG"),
        (bytes(100) + FRAME, 1007, "no style has a share"),
        (b"\xff" * (MAX_MESSAGE_BYTES + 1), 1009, "the frame is too large"),
    ],
    ids=range(6),
)
def test_a_hostile_frame_closes_its_mirror_with_a_reason_and_no_other(
    mirror: MirrorClient, mirror_display: DisplayProcess, shares: bytes, message: str | bytes, code: int, reason: str
) -> None:
    with open_mirror(mirror_display.settings.port) as other:
        mirror.connection.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            mirror.connection.recv(timeout=120)
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
        assert other.paint(FRAME, shares)


def test_another_site_gets_no_mirror(mirror_display: DisplayProcess) -> None:
    for origin in ("https://elsewhere.example", "null"):
        with pytest.raises(InvalidStatus) as refused, open_mirror(mirror_display.settings.port, origin=origin):
            pass
        assert refused.value.response.status_code == 403


def test_one_mirror_too_many_is_told_so_and_gets_the_place_of_one_that_closes(
    mirror_display: DisplayProcess, shares: bytes
) -> None:
    port = mirror_display.settings.port

    def is_painted() -> bool:
        with open_mirror(port) as mirror, suppress(ConnectionClosed):
            return bool(mirror.paint(FRAME, shares))
        return False

    wait_until(is_painted, "those of earlier tests are closed")
    with ExitStack() as mirrors:
        for _ in range(MAX_MIRRORS):
            assert mirrors.enter_context(open_mirror(port)).paint(FRAME, shares)
        with open_mirror(port) as mirror, pytest.raises(ConnectionClosed) as closed:
            mirror.paint(FRAME, shares)
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, f"{MAX_MIRRORS} mirrors are open")
    wait_until(is_painted, "there is a place")


def test_a_mirror_that_sends_nothing_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_route_module, "IDLE_SECONDS", 0.05)
    sent: list[MutableMapping[str, Any]] = []
    arriving: list[MutableMapping[str, Any]] = [{"type": "websocket.connect"}]

    async def receive() -> MutableMapping[str, Any]:
        if not arriving:
            await asyncio.Event().wait()
        return arriving.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def serve() -> None:
        headers = [(b"host", b"a"), (b"origin", b"http://a")]
        scope = {"type": "websocket", "path": "/", "headers": headers, "query_string": b""}
        route = frame_route("/", FramePainter(NETWORK_FOLDER), 1, settings)
        await route.endpoint(WebSocket(scope, receive, send))

    asyncio.run(serve())
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert (sent[1]["code"], sent[1]["reason"]) == (CLOSED_IDLE, "no frame came for a while")


def test_frames_leave_no_trace_in_the_display_s_folder_or_log(
    mirror_display: DisplayProcess, mirror: MirrorClient, shares: bytes
) -> None:
    mirror.paint(FRAME, shares)
    files = [path for path in mirror_display.settings.data.parent.rglob("*") if path.is_file()]
    assert not [path for path in files if b"\xff\xd8\xff" in path.read_bytes()]
    assert mirror_display._output_path.read_text() == ""
