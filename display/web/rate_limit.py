"""Rate limit: a sliding window per key, in bounded memory."""

import time
from collections import OrderedDict, deque

#: Keys that are tracked; beyond these the least recently recorded key is dropped, and its count starts again.
MAX_TRACKED_KEYS = 10_000


class RateLimiter:
    """Allows each key `max_requests` requests in any `window_seconds`."""

    def __init__(self, max_requests: int, window_seconds: float) -> None:
        self._max_requests, self._window_seconds = max_requests, window_seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def get_wait_seconds(self, key: str) -> float:
        """Return the seconds until the next request of a key is allowed, 0.0 if it is allowed now."""
        times, now = self._times.get(key, deque()), time.monotonic()
        while times and now - times[0] >= self._window_seconds:
            times.popleft()
        return 0.0 if len(times) < self._max_requests else self._window_seconds - (now - times[0])

    def record(self, key: str) -> None:
        """Record a request of a key at the current time."""
        self._times.setdefault(key, deque(maxlen=self._max_requests)).append(time.monotonic())
        self._times.move_to_end(key)
        while len(self._times) > MAX_TRACKED_KEYS:
            self._times.popitem(last=False)
