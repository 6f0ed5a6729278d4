"""A Kaggle that stands here: the real client takes it for its proxy on the way to its API on localhost."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


class FakeKaggle:
    """Answers what the client asks: the version of a data set, and archives by way of a redirect to a storage."""

    def __init__(self, archive: bytes) -> None:
        """Serve this archive, whatever is asked for."""
        self.archive = archive
        #: Bytes after which the next downloads break off, one after the other.
        self.break_offsets: list[int] = []
        #: Status to refuse with, 0 for none.
        self.refusal_status = 0
        #: Where each download began.
        self.download_offsets: list[int] = []
        #: How the client said who it is.
        self.authorization_headers: list[str | None] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        """What leads the client here."""
        proxy = f"http://127.0.0.1:{self._server.server_port}"
        there = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": proxy, "http_proxy": proxy}
        return there | {"NO_PROXY": "", "no_proxy": ""}

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        kaggle = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                kaggle.authorization_headers.append(self.headers.get("Authorization"))
                if kaggle.refusal_status:
                    self._answer(kaggle.refusal_status, {"code": kaggle.refusal_status, "message": "refused"})
                elif self.path.endswith("/GetDataset"):
                    self._answer(200, {"currentVersionNumber": 1})
                else:
                    self.send_response(302)
                    self.send_header("Location", "http://storage.invalid/archive.zip")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def do_GET(self) -> None:
                assert urlsplit(self.path).hostname == "storage.invalid"
                asked = self.headers.get("Range")
                first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                self.send_response(206 if asked else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(kaggle.archive) - first))
                self.send_header("Last-Modified", "Mon, 02 May 2016 10:00:00 GMT")
                self.end_headers()
                content = kaggle.archive[first:]
                # Once some of it is there the client asks for the whole only to see its length, then for the rest.
                if kaggle.break_offsets and (asked or not kaggle.download_offsets):
                    content = content[: kaggle.break_offsets.pop(0)]
                kaggle.download_offsets.append(first)
                try:
                    self.wfile.write(content)
                    self.wfile.flush()
                except OSError:
                    pass  # it has seen the length
                self.close_connection = True

            def _answer(self, status: int, told: dict[str, object]) -> None:
                content = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
