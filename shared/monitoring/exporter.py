"""The exporter: serve a process's metrics if a port is set for them, by default to this machine only."""

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

#: Path at which a worker reports whether it consumes messages, with status 200 or 503: health probes need no process of
#: their own for it.
CONSUMING_PATH = "/consumes"

#: Environment variable that switches prometheus_client to multiprocess mode.
_MULTIPROC_DIR_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def enable_multiprocess_metrics(settings: Settings) -> Iterator[None]:
    """Aggregate the metrics of this process and its forks. Enter it before anything imports prometheus_client.

    The pool process does a worker's work and is replaced when it dies; its parent survives and serves the metrics.
    Each process counts in a file of its own, which outlives it, and the parent sums them up, so no counter falls when
    a process is killed. Does nothing if the worker has no metrics port. Raises RuntimeError if prometheus_client was
    imported before.
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
        remove_multiprocess_metrics()


def remove_multiprocess_metrics() -> None:
    """Remove what this process and its forks have counted, if they count together."""
    if folder := os.environ.get(_MULTIPROC_DIR_VARIABLE):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serve_metrics(
    settings: Settings,
    port: int,
    collectors: "Iterable[Collector]" = (),
    *,
    is_consuming: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Serve `/metrics` while the block runs; does nothing if the port is 0.

    collectors: additional metrics of this component. is_consuming: decides the status of `/consumes`; None: there is no
    such path. Raises ArtDreamError if the port cannot be listened on.
    """
    if not port:
        yield
        return
    server = _start_metrics_server(settings, port, collectors)
    if is_consuming is not None and (metrics := server.get_app()) is not None:
        server.set_app(_add_consuming_probe(metrics, is_consuming))
    # A pool process must not hold the port after its parent has died, or the next worker could not listen on it.
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
        consuming = is_consuming()
        start_response("200 OK" if consuming else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"it consumes\n" if consuming else b"it does not consume\n"]

    return respond


def _start_metrics_server(settings: Settings, port: int, collectors: "Iterable[Collector]") -> WSGIServer:
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.multiprocess import MultiProcessCollector

    import shared.monitoring.metrics
    from shared.monitoring.queue_metrics import QueueMetricsCollector

    del shared.monitoring.metrics  # imported only to register all metrics before the first scrape
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
