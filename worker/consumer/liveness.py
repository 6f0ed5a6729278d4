"""The pulse: whether a worker consumes, for whoever starts and ends workers and cannot look inside."""

import threading
import time

#: Seconds without a beat after which a worker counts as one that does not consume. By then it has started itself anew,
#: if it could; and a look at a broker that has just hung takes as long as two connections time out.
LIVENESS_TIMEOUT_SECONDS = 45.0


class Liveness:
    """Beats at each look of the watchdog that finds a warm worker which leaves nothing waiting, or no broker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_alive: float | None = None

    def mark_alive(self) -> None:
        """Say that all is well."""
        with self._lock:
            self._last_alive = time.monotonic()

    def is_alive(self) -> bool:
        """Tell whether all was well a moment ago."""
        with self._lock:
            return self._last_alive is not None and time.monotonic() - self._last_alive < LIVENESS_TIMEOUT_SECONDS
