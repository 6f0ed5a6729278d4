"""Stopping: a worker that is told to end has its grace to finish what it dreams; then the job goes back to its lane."""

import contextlib
import logging
import signal
import threading

import psutil
from celery.signals import worker_shutting_down

log = logging.getLogger(__name__)

#: Seconds in which a pool process gives its job back once it is told to; one in native code may not hear it.
HANDING_BACK = 5.0


class Stopping(threading.Thread):
    """Waits beside a worker's parent process for SIGTERM, and sees to it that the worker then ends in time."""

    def __init__(self, grace: float) -> None:
        """grace: seconds that a dream may still take."""
        super().__init__(name="stopping", daemon=True)
        self._grace = grace
        self._told, self._ended = threading.Event(), threading.Event()
        worker_shutting_down.connect(self._tell, weak=False)

    def end(self) -> None:
        """Let it end: the worker has."""
        self._ended.set()
        self._told.set()

    def run(self) -> None:
        """Wait, and end the pool processes that are still at work when the grace is over."""
        self._told.wait()
        if self._ended.wait(self._grace):
            return
        log.warning("the grace of %.0f s is over: what is being dreamt goes back to its lane", self._grace)
        _send(signal.SIGUSR1)  # raises SoftTimeLimitExceeded where a dream goes on
        if not self._ended.wait(HANDING_BACK):
            _send(signal.SIGKILL)

    def _tell(self, **_: object) -> None:
        self._told.set()


def _send(number: signal.Signals) -> None:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            child.send_signal(number)
