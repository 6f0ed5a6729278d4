"""A proxy in front of CUPS that kills the agent at a chosen moment of sending a sheet."""

import socket
import threading
from collections.abc import Callable
from enum import Enum
from typing import Self

#: Code of Print-Job, bytes 2 and 3 of an IPP request.
_PRINT_JOB = b"\x00\x02"


class Moment(Enum):
    """When the agent is killed."""

    BEFORE = "nothing of the sheet has reached the server"
    HALF = "half of it has"
    SENT = "all of it has, and the server has not answered yet"
    ANSWERED = "the server has answered, and the agent has not read that"


class KillingProxy:
    """Forwards each request and its answer, apart from the sheets at which it kills."""

    def __init__(self, server_port: int, kill: Callable[[], None]) -> None:
        self._server_port, self._kill = server_port, kill
        #: What happens to the next sheets; later ones are forwarded.
        self.plan: list[Moment] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
                self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        message = _read_message(client)
        body = message.partition(b"\r\n\r\n")[2]
        moment = self.plan.pop(0) if self.plan and body[2:4] == _PRINT_JOB else None
        if moment is Moment.BEFORE:
            self._kill()
            return
        server.sendall(message[: len(message) // 2] if moment is Moment.HALF else message)
        if moment in (Moment.HALF, Moment.SENT):
            self._kill()
            return
        answer = _read_message(server)
        if moment is Moment.ANSWERED:
            self._kill()
            return
        client.sendall(answer)


def _read_message(connection: socket.socket) -> bytes:
    """Return an HTTP message with its body, as much of it as there is."""
    data = b""
    while b"\r\n\r\n" not in data or len(data) < _measure(data):
        chunk = connection.recv(65_536)
        if not chunk:
            break
        data += chunk
    return data


def _measure(data: bytes) -> int:
    head, separator, _ = data.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return len(head) + len(separator) + int(lengths[0] if lengths else 0)
