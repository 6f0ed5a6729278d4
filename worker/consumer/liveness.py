"""Liveness: whether a worker consumes messages, for supervisors that start and stop workers."""

import threading
import time


class Liveness:
    """The last sign of life: a watchdog check of a warm worker that ignores no messages, or cannot take any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive_until = float("-inf")

    def mark_alive(self, seconds: float) -> None:
        """Record a sign of life that is valid for `seconds`."""
        with self._lock:
            self._alive_until = time.monotonic() + seconds

    def is_alive(self) -> bool:
        """Return whether there was a sign of life that is still valid."""
        with self._lock:
            return time.monotonic() < self._alive_until
