"""The forecast: how long a photo that waits will still take, from what the last dreams took."""

import heapq
from collections import OrderedDict, deque
from statistics import median

#: Dreams of which the median counts: few enough to follow a change of recipe within minutes.
MAX_DURATIONS = 15

#: Seconds after its last dream at which a worker no longer counts as one that will take the next.
WORKER_GONE_AFTER_SECONDS = 120.0

#: Workers that are remembered.
MAX_WORKERS = 1_000


class Eta:
    """Learns from the starts and ends of jobs. Times are epoch seconds of one clock."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=MAX_DURATIONS)
        self._started: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._last_heard: OrderedDict[str, float] = OrderedDict()

    def record_start(self, job_id: str, worker: str, at: float) -> None:
        """A worker took a job."""
        self._started[job_id] = at, worker
        self._record_worker(worker, at)

    def record_end(self, job_id: str, at: float, *, is_completed: bool) -> None:
        """A job ended; only one that was dreamt tells how long that takes."""
        started, worker = self._started.pop(job_id, (at, ""))
        if worker:
            self._record_worker(worker, at)
            if is_completed:
                self._durations.append(at - started)

    def estimate_seconds(self, waiting: int, now: float) -> float | None:
        """Return the time until the last of so many waiting jobs is dreamt; None where nothing is known yet.

        Each worker finishes what it has begun, and then takes the next that waits.
        """
        if not self._durations:
            return None
        dream = median(self._durations)
        busy = {worker: max(0.0, dream - (now - at)) for at, worker in self._started.values()}
        idle = {worker: 0.0 for worker, heard in self._last_heard.items() if now - heard < WORKER_GONE_AFTER_SECONDS}
        free = list((idle | busy).values()) or [0.0]
        heapq.heapify(free)
        done = 0.0
        for _ in range(waiting):
            done = heapq.heappop(free) + dream
            heapq.heappush(free, done)
        return done

    def _record_worker(self, worker: str, at: float) -> None:
        self._last_heard[worker] = at
        self._last_heard.move_to_end(worker)
        for known in (self._last_heard, self._started):
            while len(known) > MAX_WORKERS:
                known.popitem(last=False)
