"""A local stand-in for Kaggle: the real client uses it as the proxy to its API."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit


class FakeKaggle:
    """Serves the version of a data set, and an archive through a redirect to a storage host."""

    def __init__(self, archive: bytes) -> None:
        """Serve this archive for every request."""
        self.archive = archive
        #: Bytes after which each of the next downloads is cut.
        self.break_offsets: list[int] = []
        #: HTTP status of refusals, 0 to serve.
        self.refusal_status = 0
        #: Byte offset at which each download started.
        self.download_offsets: list[int] = []
        #: The Authorization header of each API request.
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
        """The environment variables that make the client use this server."""
        proxy = f"http://127.0.0.1:{self._server.server_port}"
        variables = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": proxy, "http_proxy": proxy}
        return variables | {"NO_PROXY": "", "no_proxy": ""}

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
                range_header = self.headers.get("Range")
                offset = int(range_header.removeprefix("bytes=").rstrip("-")) if range_header else 0
                self.send_response(206 if range_header else 200)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(kaggle.archive) - offset))
                self.send_header("Last-Modified", "Mon, 02 May 2016 10:00:00 GMT")
                self.end_headers()
                content = kaggle.archive[offset:]
                # When it resumes, the client first requests the whole archive for its length only, then the rest.
                if kaggle.break_offsets and (range_header or not kaggle.download_offsets):
                    content = content[: kaggle.break_offsets.pop(0)]
                kaggle.download_offsets.append(offset)
                try:
                    self.wfile.write(content)
                    self.wfile.flush()
                except OSError:
                    pass  # the client closed the connection after the headers
                self.close_connection = True

            def _answer(self, status: int, payload: dict[str, object]) -> None:
                content = json.dumps(payload).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
