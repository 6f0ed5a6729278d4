"""A mirror without a browser: a program that sends frames as the page does."""

from collections.abc import Iterator
from contextlib import contextmanager

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin


class MirrorClient:
    """A connection to the mirror's route of a display."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def paint(self, frame: bytes, shares: bytes) -> bytes:
        """Send a frame, and return its painting. Raises websockets' ConnectionClosed."""
        self.connection.send(shares + frame)
        painting = self.connection.recv(timeout=120)
        assert isinstance(painting, bytes)
        return painting


@contextmanager
def open_mirror(port: int, *, origin: str | None = None) -> Iterator[MirrorClient]:
    """Open a mirror of a display on this machine. Raises websockets' InvalidStatus if the display refuses.

    origin: by default the display's own.
    """
    address = f"127.0.0.1:{port}"
    with connect(
        f"ws://{address}/mirror/frames",
        origin=Origin(origin or f"http://{address}"),
        open_timeout=60,
        proxy=None,
    ) as connection:
        yield MirrorClient(connection)
