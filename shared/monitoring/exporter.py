"""The exporter: serves a process's metrics where a port is set for them, to this machine unless told otherwise."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from shared.errors import ArtDreamError
from shared.settings import ENV_PREFIX, Settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from prometheus_client.registry import Collector

#: Where a part that consumes says whether it does, by 200 or 503: what a probe asks, without a process of its own.
CONSUMING_PATH = "/consumes"

#: The variable by which prometheus_client knows that several processes count.
_MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def enable_multiprocess_metrics(settings: Settings) -> Iterator[None]:
    """Let this process and those that it forks count together. Enter it before anything imports prometheus_client.

    The pool process does a worker's work, and is replaced when it dies; its parent lives on and serves. So each counts
    in a file of its own, which outlives it, and the parent adds them up: no number falls because a process was killed.
    """
    if not settings.worker_metrics_port:
        yield
        return
    if "prometheus_client" in sys.modules:
        raise RuntimeError("prometheus_client was imported before it could be told that several processes count")
    folder = tempfile.mkdtemp(prefix="artdream-metrics-")
    os.environ[_MULTIPROC_DIR_VARIABLE] = folder
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serve_metrics(
    settings: Settings,
    port: int,
    collectors: "Iterable[Collector]" = (),
    *,
    is_consuming: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Serve `/metrics` while the block runs; port 0: do nothing. collectors: what this part tells besides.

    consumes: answers `/consumes`, if given. Raises ArtDreamError where the port cannot be listened on.
    """
    if not port:
        yield
        return
    server = _start_metrics_server(settings, port, collectors)
    if is_consuming is not None and (metrics := server.get_app()) is not None:
        server.set_app(_add_consuming_probe(metrics, is_consuming))
    # A pool process must not hold the port when its parent has died and another wants it.
    os.register_at_fork(after_in_child=server.socket.close)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _add_consuming_probe(metrics_app: "WSGIApplication", is_consuming: Callable[[], bool]) -> "WSGIApplication":
    def respond(environ: "WSGIEnvironment", start_response: "StartResponse") -> "Iterable[bytes]":
        if environ.get("PATH_INFO") != CONSUMING_PATH:
            return metrics_app(environ, start_response)
        well = is_consuming()
        start_response("200 OK" if well else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"it consumes\n" if well else b"it does not consume\n"]

    return respond


def _start_metrics_server(settings: Settings, port: int, collectors: "Iterable[Collector]") -> WSGIServer:
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    import shared.monitoring.metrics
    from shared.monitoring.queue_metrics import QueueMetricsCollector

    del shared.monitoring.metrics  # imported so that everything is there before it is counted
    if _MULTIPROC_DIR_VARIABLE in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry = REGISTRY
    for collector in (QueueMetricsCollector(settings), *collectors):
        registry.register(collector)
    try:
        server, _ = start_http_server(port, settings.metrics_host, registry)
    except OSError as error:
        raise ArtDreamError(
            f"Metrics cannot be served on {settings.metrics_host}, port {port} ({error.strerror}): "
            f"choose another with {ENV_PREFIX}…_METRICS_PORT, or 0 for none."
        ) from error
    return server
