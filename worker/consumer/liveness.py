"""Liveness: whether a worker consumes messages, for supervisors that start and stop workers."""

import threading
import time

#: Seconds without a sign of life after which a worker counts as not consuming. Long enough for the watchdog to restart
#: the worker first, and for a check of a broker that has just hung, which takes two connection timeouts.
LIVENESS_TIMEOUT_SECONDS = 45.0


class Liveness:
    """Time of the last sign of life: a watchdog check of a warm worker that ignores no messages, or has no broker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_alive: float | None = None

    def mark_alive(self) -> None:
        """Record a sign of life."""
        with self._lock:
            self._last_alive = time.monotonic()

    def is_alive(self) -> bool:
        """Return whether the last sign of life is less than LIVENESS_TIMEOUT_SECONDS old."""
        with self._lock:
            return self._last_alive is not None and time.monotonic() - self._last_alive < LIVENESS_TIMEOUT_SECONDS
