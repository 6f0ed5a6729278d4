"""Graceful shutdown: a stopping worker has a grace period to finish its current job; then the job is released."""

import contextlib
import logging
import signal
import threading

import psutil
from celery.signals import worker_shutting_down

logger = logging.getLogger(__name__)

#: Seconds for a pool process to release its job after the signal; a process in native code may not notice the signal.
RELEASE_TIMEOUT_SECONDS = 5.0


class GracefulShutdown(threading.Thread):
    """Waits in a worker's parent process for SIGTERM, and ensures that the worker then ends in time."""

    def __init__(self, grace_seconds: float) -> None:
        """grace_seconds: seconds that the current job may still take."""
        super().__init__(name="stopping", daemon=True)
        self._grace_seconds = grace_seconds
        self._shutdown_requested, self._worker_ended = threading.Event(), threading.Event()
        worker_shutting_down.connect(self._request_shutdown, weak=False)

    def stop(self) -> None:
        """Stop waiting, because the worker has ended."""
        self._worker_ended.set()
        self._shutdown_requested.set()

    def run(self) -> None:
        """Wait for a shutdown, and end the pool processes that are still busy after the grace period."""
        self._shutdown_requested.wait()
        if self._worker_ended.wait(self._grace_seconds):
            return
        logger.warning("the grace of %.0f s is over: what is being dreamt goes back to its lane", self._grace_seconds)
        _signal_children(signal.SIGUSR1)  # raises SoftTimeLimitExceeded in processes that run a job
        if not self._worker_ended.wait(RELEASE_TIMEOUT_SECONDS):
            _signal_children(signal.SIGKILL)

    def _request_shutdown(self, **_: object) -> None:
        self._shutdown_requested.set()


def _signal_children(signal_number: signal.Signals) -> None:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(signal_number)
