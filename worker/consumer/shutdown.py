"""Stopping: a worker that is told to end has its grace to finish what it dreams; then the job goes back to its lane."""

import contextlib
import logging
import signal
import threading

import psutil
from celery.signals import worker_shutting_down

logger = logging.getLogger(__name__)

#: Seconds in which a pool process gives its job back once it is told to; one in native code may not hear it.
RELEASE_TIMEOUT_SECONDS = 5.0


class GracefulShutdown(threading.Thread):
    """Waits beside a worker's parent process for SIGTERM, and sees to it that the worker then ends in time."""

    def __init__(self, grace_seconds: float) -> None:
        """grace: seconds that a dream may still take."""
        super().__init__(name="stopping", daemon=True)
        self._grace_seconds = grace_seconds
        self._shutdown_requested, self._worker_ended = threading.Event(), threading.Event()
        worker_shutting_down.connect(self._request_shutdown, weak=False)

    def stop(self) -> None:
        """Let it end: the worker has."""
        self._worker_ended.set()
        self._shutdown_requested.set()

    def run(self) -> None:
        """Wait, and end the pool processes that are still at work when the grace is over."""
        self._shutdown_requested.wait()
        if self._worker_ended.wait(self._grace_seconds):
            return
        logger.warning("the grace of %.0f s is over: what is being dreamt goes back to its lane", self._grace_seconds)
        _signal_children(signal.SIGUSR1)  # raises SoftTimeLimitExceeded where a dream goes on
        if not self._worker_ended.wait(RELEASE_TIMEOUT_SECONDS):
            _signal_children(signal.SIGKILL)

    def _request_shutdown(self, **_: object) -> None:
        self._shutdown_requested.set()


def _signal_children(signal_number: signal.Signals) -> None:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(signal_number)
