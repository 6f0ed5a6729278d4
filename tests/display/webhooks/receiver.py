"""A real HTTP server that receives webhooks, verifies them with another implementation, and can fail in many ways."""

import json
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from standardwebhooks import Webhook


class Received(NamedTuple):
    """A request that was received."""

    id: str
    type: str
    data: dict[str, Any]
    headers: dict[str, str]
    body: bytes
    at: float


class Receiver:
    """Listens on a port of 127.0.0.1. It notes each request before it answers, as one that dies meanwhile may have."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        """certificate: files of the certificate for `localhost` and its key; None: without TLS."""
        self.requests: list[Received] = []
        #: Status of each answer, and its headers.
        self.status, self.headers = 200, dict[str, str]()
        #: Seconds before each answer.
        self.delay = 0.0
        #: Sends a byte now and then, and never ends.
        self.drips = False
        self._ending = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver._receive(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/hook?token=t"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # Without the handshake, which would keep the server from accepting others.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self.url = f"https://localhost:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def ids(self) -> Counter[str]:
        """How often each message was received."""
        return Counter(request.id for request in list(self.requests))

    @property
    def jobs(self) -> Counter[str]:
        """How often each job's messages were received, a repetition with the same id not counted."""
        return Counter(job for _, job in {(request.id, request.data["id"]) for request in list(self.requests)})

    def _receive(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        content = json.loads(body)
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(
            Received(headers["webhook-id"], content["type"], content["data"], headers, body, time.monotonic())
        )
        self._ending.wait(self.delay)
        while self.drips and not self._ending.wait(0.1):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return
        try:
            handler.send_response(self.status)
            for name, value in self.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "2")
            handler.end_headers()
            handler.wfile.write(b"ok")
        except OSError:
            pass  # the deliverer was killed meanwhile


def verify(request: Received, secret: str) -> Any:
    """Return the content of a request, verified by the library of the specification's authors, or raise its error."""
    return Webhook(secret).verify(request.body, request.headers)
