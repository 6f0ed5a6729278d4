"""The limit: how often one guest may send something, in memory of a bounded size."""

import time
from collections import OrderedDict, deque

#: Guests that are remembered; beyond these the one who was quiet longest begins anew.
MAX_TRACKED_KEYS = 10_000


class RateLimiter:
    """So many times in so many seconds, for each key on its own."""

    def __init__(self, max_requests: int, window_seconds: float) -> None:
        self._max_requests, self._window_seconds = max_requests, window_seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def get_wait_seconds(self, key: str) -> float:
        """Return the seconds until a key may come again; 0 for now."""
        times, now = self._times.get(key, deque()), time.monotonic()
        while times and now - times[0] >= self._window_seconds:
            times.popleft()
        return 0.0 if len(times) < self._max_requests else self._window_seconds - (now - times[0])

    def record(self, key: str) -> None:
        """Note that a key came now."""
        self._times.setdefault(key, deque(maxlen=self._max_requests)).append(time.monotonic())
        self._times.move_to_end(key)
        while len(self._times) > MAX_TRACKED_KEYS:
            self._times.popitem(last=False)
