"""ETA: estimate when a waiting photo has its dream, from the durations of the last jobs."""

from collections import OrderedDict, deque
from statistics import median

#: Completed jobs whose median duration is used: few enough to follow a change of recipe within minutes.
MAX_DURATIONS = 15

#: Seconds after a worker's last event at which it no longer counts as available.
WORKER_GONE_AFTER_SECONDS = 120.0

#: Workers, and started jobs, that are tracked.
MAX_WORKERS = 1_000


class Eta:
    """Estimates waiting times from the starts and ends of jobs. Times are epoch seconds of one clock."""

    def __init__(self) -> None:
        self._durations: deque[float] = deque(maxlen=MAX_DURATIONS)
        self._started: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._last_heard: OrderedDict[str, float] = OrderedDict()

    def record_start(self, job_id: str, worker: str, at: float) -> None:
        """Record that a worker started a job."""
        self._started[job_id] = at, worker
        self._record_worker(worker, at)

    def record_end(self, job_id: str, at: float, *, is_completed: bool) -> None:
        """Record that a job ended. Only the duration of a completed job enters the estimate."""
        started, worker = self._started.pop(job_id, (at, ""))
        if worker:
            self._record_worker(worker, at)
            if is_completed:
                self._durations.append(at - started)

    def estimate_seconds(self, waiting: int, now: float) -> float | None:
        """Return the seconds until the last of `waiting` jobs is completed, None before the first completed job.

        Each worker finishes its current job, then takes the next one; they take turns, in the order in which they get
        free. Without a known worker, one idle worker is assumed.
        """
        if not self._durations:
            return None
        if waiting <= 0:
            return 0.0
        duration = median(self._durations)
        busy = {worker: min(max(0.0, duration - (now - at)), duration) for at, worker in self._started.values()}
        idle = {worker: 0.0 for worker, at in self._last_heard.items() if now - at < WORKER_GONE_AFTER_SECONDS}
        free_in_seconds = sorted((idle | busy).values()) or [0.0]
        rounds, turn = divmod(waiting - 1, len(free_in_seconds))
        return free_in_seconds[turn] + (rounds + 1) * duration

    def _record_worker(self, worker: str, at: float) -> None:
        self._last_heard[worker] = at
        self._last_heard.move_to_end(worker)
        for entries in (self._last_heard, self._started):
            while len(entries) > MAX_WORKERS:
                entries.popitem(last=False)
