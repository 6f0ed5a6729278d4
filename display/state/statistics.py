"""The gauge: how fast dreams come and what goes wrong, read off the events."""

import statistics
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

#: Dreams and faults that are remembered.
MAX_COMPLETED_DREAMS, MAX_ERRORS = 500, 200

#: Jobs that are remembered while they wait.
MAX_QUEUED_JOBS = 10_000

#: Seconds for which a worker may be ready while a job waits, before it counts as one that does not consume.
IDLE_GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class ErrorRecord:
    """A job that failed, or a file that never became one."""

    at: float
    #: "" for a file.
    job_id: str
    #: "" for a job.
    file: str
    reason: str


class Statistics:
    """Learns from every event. Times are epoch seconds of the broker's clock."""

    def __init__(self) -> None:
        self._dreams: deque[tuple[float, Stages]] = deque(maxlen=MAX_COMPLETED_DREAMS)
        self._errors: OrderedDict[str, ErrorRecord] = OrderedDict()
        self._queued: OrderedDict[str, float] = OrderedDict()
        self._lanes: OrderedDict[str, str] = OrderedDict()
        #: Entries of the stream that were no event of a version known here, and passed over.
        self.unreadable_events = 0

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in one event."""
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
        """Return for how many seconds the job that waits longest has waited, 0 where none does.

        lanes: those that count, and jobs whose lane is not known; none: all.
        """
        since = (at for job, at in self._queued.items() if not lanes or self._lanes.get(job, lanes[0]) in lanes)
        return max(0.0, now - min(since, default=now))

    def compute_dreams_per_minute(self, now: float, window_seconds: float = 600.0) -> float:
        """Return how many dreams a minute there were, over so many seconds."""
        return 60 * sum(at > now - window_seconds for at, _ in self._dreams) / window_seconds

    def summarize_stages(self) -> list[tuple[Stage, float, float]]:
        """Return the median and the 95th percentile of the last dreams' seconds in each stage."""
        found = []
        for stage in Stage:
            seconds = [stages[stage] for _, stages in self._dreams if stage in stages]
            if seconds:
                found.append((stage, statistics.median(seconds), _compute_percentile(seconds, 0.95)))
        return found

    def list_errors(self) -> list[ErrorRecord]:
        """Return what went wrong and was not put right since, newest first."""
        return list(self._errors.values())[::-1]

    def is_consuming(self, worker: Heartbeat, now: float) -> bool:
        """Tell whether a worker does its work: presence alone says that it breathes (celery #8030)."""
        idle = worker.part is Component.WORKER and worker.state == "ready" and now - worker.since > IDLE_GRACE_SECONDS
        return not (idle and self.compute_oldest_wait(now, worker.lanes) > IDLE_GRACE_SECONDS)

    def _record_error(self, key: str, error: ErrorRecord) -> None:
        self._errors[key] = error
        self._errors.move_to_end(key)
        _keep_newest(self._errors, MAX_ERRORS)


def _compute_percentile(values: list[float], fraction: float) -> float:
    """Return the smallest value that so large a share does not exceed."""
    return sorted(values)[min(len(values) - 1, int(fraction * len(values)))]


def _keep_newest(
    entries: "OrderedDict[str, float] | OrderedDict[str, str] | OrderedDict[str, ErrorRecord]", limit: int
) -> None:
    while len(entries) > limit:
        entries.popitem(last=False)
