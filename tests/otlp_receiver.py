"""A receiver of OTLP over HTTP, as a collector is one: it keeps the spans that it is sent.

`python -m tests.otlp_receiver` prints its address and runs until its standard input ends.
"""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it was sent."""

    service: str
    name: str
    trace_id: str
    span_id: str
    #: "" for the outermost span.
    parent_id: str
    #: Epoch seconds.
    started_at: float
    ended_at: float
    attributes: dict[str, str | int]
    is_error: bool
    status_message: str

    @property
    def seconds(self) -> float:
        return self.ended_at - self.started_at


class OtlpReceiver:
    """Listens on a free port of this machine, and keeps the spans in the order of their start."""

    def __init__(self) -> None:
        self._spans: list[ReceivedSpan] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                receiver._keep(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> list[ReceivedSpan]:
        return sorted(self._spans, key=lambda span: span.started_at)

    @contextmanager
    def run(self) -> Iterator[None]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _keep(self, body: bytes) -> None:
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: each.value.string_value for each in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    self._spans.append(
                        ReceivedSpan(
                            service=resource["service.name"],
                            name=span.name,
                            trace_id=span.trace_id.hex(),
                            span_id=span.span_id.hex(),
                            parent_id=span.parent_span_id.hex(),
                            started_at=span.start_time_unix_nano / 1e9,
                            ended_at=span.end_time_unix_nano / 1e9,
                            attributes={
                                each.key: each.value.string_value or each.value.int_value for each in span.attributes
                            },
                            is_error=span.status.code == 2,
                            status_message=span.status.message,
                        )
                    )


if __name__ == "__main__":
    alone = OtlpReceiver()
    sys.stdout.write(f"{alone.url}\n")
    sys.stdout.flush()
    with alone.run():
        sys.stdin.read()
