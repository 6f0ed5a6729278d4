"""The WebSocket of a mirror: a browser sends a frame, gets its painting, and only then sends the next one.

A message of the browser is a byte for each style, its share in the painting, followed by a JPEG. An answer is a JPEG.
Frames are kept nowhere.
"""

import asyncio
import contextlib

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from display.mirror.frame_painter import MAX_MIRRORS, FramePainter, TooManyMirrors
from display.mirror.process import FrameRefused
from display.web.same_origin import is_same_origin
from shared.errors import ArtDreamError
from shared.public_url import resolve_public_url
from shared.settings import Settings

#: Bytes of the longest message; a frame of 384 × 288 pixels has 30 kB.
MAX_MESSAGE_BYTES = 500_000

#: Seconds without a frame after which a mirror is closed.
IDLE_SECONDS = 30.0

# Codes with which a mirror is closed (RFC 6455, 7.4, and the registry of IANA).
CLOSED_IDLE, CLOSED_NOT_BINARY, CLOSED_REFUSED, CLOSED_FOREIGN, CLOSED_TOO_LONG, CLOSED_FAILED, CLOSED_FULL = (
    *(1000, 1003, 1007, 1008, 1009, 1011, 1013),
)


def frame_route(path: str, painter: FramePainter, style_count: int, settings: Settings) -> WebSocketRoute:
    """Return the route. style_count: styles of the network."""

    async def serve_mirror(websocket: WebSocket) -> None:
        if not is_same_origin(websocket, public_url=resolve_public_url(settings), requires_origin=True):
            await websocket.close(CLOSED_FOREIGN)  # not accepted yet: the answer is 403
            return
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.close(*await _paint_frames(websocket, painter, style_count))

    return WebSocketRoute(path, serve_mirror)


async def _paint_frames(websocket: WebSocket, painter: FramePainter, style_count: int) -> tuple[int, str]:
    """Paint what a browser sends until that is not possible. Return code and reason with which to close.

    Raises WebSocketDisconnect if the browser closes.
    """
    try:
        with painter.mirror():
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message["code"])
                data = message.get("bytes")
                if data is None:
                    return CLOSED_NOT_BINARY, "a frame is a binary message"
                if len(data) > MAX_MESSAGE_BYTES:
                    return CLOSED_TOO_LONG, "the frame is too large"
                await websocket.send_bytes(await painter.paint(data[style_count:], data[:style_count]))
    except TimeoutError:
        return CLOSED_IDLE, "no frame came for a while"
    except TooManyMirrors:
        return CLOSED_FULL, f"{MAX_MIRRORS} mirrors are open"
    except FrameRefused as error:
        return CLOSED_REFUSED, str(error)
    except ArtDreamError:
        return CLOSED_FAILED, "nothing can be painted"
