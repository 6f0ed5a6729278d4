"""The limit: how often one guest may send something, in memory of a bounded size."""

import time
from collections import OrderedDict, deque

#: Guests that are remembered; beyond these the one who was quiet longest begins anew.
KNOWN = 10_000


class Limit:
    """So many times in so many seconds, for each key on its own."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Return the seconds until a key may come again; 0 for now."""
        times, now = self._times.get(key, deque()), time.monotonic()
        while times and now - times[0] >= self._seconds:
            times.popleft()
        return 0.0 if len(times) < self._most else self._seconds - (now - times[0])

    def count(self, key: str) -> None:
        """Note that a key came now."""
        self._times.setdefault(key, deque(maxlen=self._most)).append(time.monotonic())
        self._times.move_to_end(key)
        while len(self._times) > KNOWN:
            self._times.popitem(last=False)
