"""Statistics: throughput, stage times, waiting times and errors, computed from the events."""

import statistics
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass

from shared.jobs.events import (
    Accepted,
    Completed,
    Failed,
    FileRejected,
    Queued,
    RecordedEvent,
    RuntimeSettingsChanged,
    Stage,
    Stages,
)
from shared.monitoring.heartbeat import Component, Heartbeat

#: Completed dreams and errors that are kept.
MAX_COMPLETED_DREAMS, MAX_ERRORS = 500, 200

#: Queued jobs that are tracked.
MAX_QUEUED_JOBS = 10_000

#: Seconds for which a worker may be ready while a job waits, before it counts as not consuming.
IDLE_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class ErrorRecord:
    """A failed job, or a rejected file."""

    #: Epoch seconds.
    at: float
    #: "" for a rejected file.
    job_id: str
    #: Name of the file, "" for a job.
    file: str
    reason: str


class Statistics:
    """Accumulates figures from events. Thread-safe. Times are epoch seconds of the broker's clock."""

    def __init__(self) -> None:
        self._dreams: deque[tuple[float, Stages]] = deque(maxlen=MAX_COMPLETED_DREAMS)
        self._errors: OrderedDict[str, ErrorRecord] = OrderedDict()
        self._queued: OrderedDict[str, float] = OrderedDict()
        self._lanes: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        #: Number of stream entries that were skipped: they are not events of a version known here.
        self.unreadable_events = 0

    def apply(self, recorded: RecordedEvent) -> None:
        """Update the figures with one event."""
        with self._lock:
            self._apply(recorded)

    def _apply(self, recorded: RecordedEvent) -> None:
        event, at = recorded.event, recorded.recorded_at
        match event:
            case Accepted():
                self._lanes[event.job_id] = event.lane
                _keep_newest(self._lanes, MAX_QUEUED_JOBS)
            case Queued():
                self._queued[event.job_id] = at
                _keep_newest(self._queued, MAX_QUEUED_JOBS)
            case Completed():
                self._dreams.append((at, event.stages))
            case Failed():
                self._record_error(event.job_id, ErrorRecord(at, event.job_id, "", event.reason))
            case FileRejected():
                self._record_error(recorded.id, ErrorRecord(at, "", event.file, event.reason))
            case _:
                pass
        if not isinstance(event, Queued | FileRejected | RuntimeSettingsChanged):
            self._queued.pop(event.job_id, None)
            if not isinstance(event, Failed):
                self._errors.pop(event.job_id, None)

    def compute_oldest_wait(self, now: float, lanes: tuple[str, ...] = ()) -> float:
        """Return the seconds that the oldest queued job has waited, 0.0 if no job waits.

        lanes: the lanes to count; empty for all. A job of unknown lane counts in any case.
        """
        with self._lock:
            queued_times = [
                at for job, at in self._queued.items() if not lanes or self._lanes.get(job, lanes[0]) in lanes
            ]
        return max(0.0, now - min(queued_times, default=now))

    def compute_dreams_per_minute(self, now: float, window_seconds: float = 600.0) -> float:
        """Return the mean number of dreams per minute over the last `window_seconds`."""
        with self._lock:
            dreams = sum(at > now - window_seconds for at, _ in self._dreams)
        return 60 * dreams / window_seconds

    def summarize_stages(self) -> list[tuple[Stage, float, float]]:
        """Return (stage, median, 95th percentile) in seconds over the last dreams, for each measured stage."""
        with self._lock:
            measured = [stages for _, stages in self._dreams]
        summary = []
        for stage in Stage:
            seconds = [stages[stage] for stages in measured if stage in stages]
            if seconds:
                summary.append((stage, statistics.median(seconds), _compute_percentile(seconds, 0.95)))
        return summary

    def list_errors(self) -> list[ErrorRecord]:
        """Return the unresolved errors, newest first. Any later event of a failed job but Queued resolves its error."""
        with self._lock:
            return list(self._errors.values())[::-1]

    def is_consuming(self, worker: Heartbeat, now: float) -> bool:
        """Return False for a worker that is ready, but leaves jobs of its lanes in the queue.

        A heartbeat alone does not prove that a worker consumes (celery #8030).
        """
        is_idle = (
            worker.part is Component.WORKER and worker.state == "ready" and now - worker.since > IDLE_GRACE_SECONDS
        )
        return not (is_idle and self.compute_oldest_wait(now, worker.lanes) > IDLE_GRACE_SECONDS)

    def _record_error(self, key: str, error: ErrorRecord) -> None:
        self._errors[key] = error
        self._errors.move_to_end(key)
        _keep_newest(self._errors, MAX_ERRORS)


def _compute_percentile(values: list[float], fraction: float) -> float:
    """Return the value that `fraction` (0 to 1) of the values do not exceed, without interpolation."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def _keep_newest(
    entries: "OrderedDict[str, float] | OrderedDict[str, str] | OrderedDict[str, ErrorRecord]", limit: int
) -> None:
    while len(entries) > limit:
        entries.popitem(last=False)
