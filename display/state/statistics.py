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
DREAMS, FAULTS = 500, 200

#: Jobs that are remembered while they wait.
WAITING = 10_000

#: Seconds for which a worker may be ready while a job waits, before it counts as one that does not consume.
IDLE = 10.0


@dataclass(frozen=True)
class Fault:
    """A job that failed, or a file that never became one."""

    at: float
    #: "" for a file.
    job_id: str
    #: "" for a job.
    file: str
    reason: str


class Gauge:
    """Learns from every event. Times are epoch seconds of the broker's clock."""

    def __init__(self) -> None:
        self._dreams: deque[tuple[float, Stages]] = deque(maxlen=DREAMS)
        self._faults: OrderedDict[str, Fault] = OrderedDict()
        self._queued: OrderedDict[str, float] = OrderedDict()
        self._lanes: OrderedDict[str, str] = OrderedDict()
        #: Entries of the stream that were no event of a version known here, and passed over.
        self.unread = 0

    def apply(self, recorded: RecordedEvent) -> None:
        """Take in one event."""
        event, at = recorded.event, recorded.recorded_at
        match event:
            case Accepted():
                self._lanes[event.job_id] = event.lane
                _keep(self._lanes, WAITING)
            case Queued():
                self._queued[event.job_id] = at
                _keep(self._queued, WAITING)
            case Completed():
                self._dreams.append((at, event.stages))
            case Failed():
                self._note(event.job_id, Fault(at, event.job_id, "", event.reason))
            case FileRejected():
                self._note(recorded.id, Fault(at, "", event.file, event.reason))
            case _:
                pass
        if not isinstance(event, Queued | FileRejected | RuntimeSettingsChanged):
            self._queued.pop(event.job_id, None)
            if not isinstance(event, Failed):
                self._faults.pop(event.job_id, None)

    def oldest_wait(self, now: float, lanes: tuple[str, ...] = ()) -> float:
        """Return for how many seconds the job that waits longest has waited, 0 where none does.

        lanes: those that count, and jobs whose lane is not known; none: all.
        """
        since = (at for job, at in self._queued.items() if not lanes or self._lanes.get(job, lanes[0]) in lanes)
        return max(0.0, now - min(since, default=now))

    def per_minute(self, now: float, span: float = 600.0) -> float:
        """Return how many dreams a minute there were, over so many seconds."""
        return 60 * sum(at > now - span for at, _ in self._dreams) / span

    def stages(self) -> list[tuple[Stage, float, float]]:
        """Return the median and the 95th percentile of the last dreams' seconds in each stage."""
        found = []
        for stage in Stage:
            seconds = [stages[stage] for _, stages in self._dreams if stage in stages]
            if seconds:
                found.append((stage, statistics.median(seconds), _percentile(seconds, 0.95)))
        return found

    def faults(self) -> list[Fault]:
        """Return what went wrong and was not put right since, newest first."""
        return list(self._faults.values())[::-1]

    def consumes(self, worker: Heartbeat, now: float) -> bool:
        """Tell whether a worker does its work: presence alone says that it breathes (celery #8030)."""
        idle = worker.part is Component.WORKER and worker.state == "ready" and now - worker.since > IDLE
        return not (idle and self.oldest_wait(now, worker.lanes) > IDLE)

    def _note(self, key: str, fault: Fault) -> None:
        self._faults[key] = fault
        self._faults.move_to_end(key)
        _keep(self._faults, FAULTS)


def _percentile(values: list[float], share: float) -> float:
    """Return the smallest value that so large a share does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _keep(known: "OrderedDict[str, float] | OrderedDict[str, str] | OrderedDict[str, Fault]", most: int) -> None:
    while len(known) > most:
        known.popitem(last=False)
