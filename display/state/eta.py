"""The forecast: how long a photo that waits will still take, from what the last dreams took."""

import heapq
from collections import OrderedDict, deque
from statistics import median

#: Dreams of which the median counts: few enough to follow a change of recipe within minutes.
REMEMBERED = 15

#: Seconds after its last dream at which a worker no longer counts as one that will take the next.
GONE = 120.0

#: Workers that are remembered.
WORKERS = 1_000


class Forecast:
    """Learns from the starts and ends of jobs. Times are epoch seconds of one clock."""

    def __init__(self) -> None:
        self._took: deque[float] = deque(maxlen=REMEMBERED)
        self._started: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._heard: OrderedDict[str, float] = OrderedDict()

    def start(self, job_id: str, worker: str, at: float) -> None:
        """A worker took a job."""
        self._started[job_id] = at, worker
        self._hear(worker, at)

    def end(self, job_id: str, at: float, *, dreamt: bool) -> None:
        """A job ended; only one that was dreamt tells how long that takes."""
        started, worker = self._started.pop(job_id, (at, ""))
        if worker:
            self._hear(worker, at)
            if dreamt:
                self._took.append(at - started)

    def seconds(self, waiting: int, now: float) -> float | None:
        """Return the time until the last of so many waiting jobs is dreamt; None where nothing is known yet.

        Each worker finishes what it has begun, and then takes the next that waits.
        """
        if not self._took:
            return None
        dream = median(self._took)
        busy = {worker: max(0.0, dream - (now - at)) for at, worker in self._started.values()}
        idle = {worker: 0.0 for worker, heard in self._heard.items() if now - heard < GONE}
        free = list((idle | busy).values()) or [0.0]
        heapq.heapify(free)
        done = 0.0
        for _ in range(waiting):
            done = heapq.heappop(free) + dream
            heapq.heappush(free, done)
        return done

    def _hear(self, worker: str, at: float) -> None:
        self._heard[worker] = at
        self._heard.move_to_end(worker)
        for known in (self._heard, self._started):
            while len(known) > WORKERS:
                known.popitem(last=False)
