"""The scene: what goes on, made from events. It holds no connection and reads no clock."""

from collections import OrderedDict
from dataclasses import asdict, dataclass, replace
from typing import Any

from display.state.eta import Eta
from shared.guest_uploads import parse_file_name
from shared.jobs.events import (
    Accepted,
    Cancelled,
    Completed,
    Deleted,
    Failed,
    FileRejected,
    Progress,
    RecordedEvent,
    Started,
)
from shared.jobs.job import Lane
from shared.storage.object_names import photo_name

#: Jobs that are remembered while they wait; a batch may be larger, and then its count stops here.
MAX_WAITING_JOBS = 10_000

#: Jobs that are remembered while a worker dreams them.
MAX_RUNNING_JOBS = 100

#: Jobs that ended without a dream, or that nobody may see, remembered for those who wait for them.
MAX_ENDED_JOBS = 1_000

#: Seconds without an event after which a running job is taken for lost and no longer shown.
JOB_LOST_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class RunningJob:
    """A job that a worker dreams. `frame` is the newest frame's object name, `heard` the time of the last event."""

    job_id: str
    title: str
    photo: str
    frame: str | None
    fraction: float
    heard: float


@dataclass(frozen=True)
class Change:
    """What viewers are told: a kind, and a body that becomes JSON."""

    kind: str
    body: dict[str, object]


class LiveState:
    """The jobs being dreamt and the number of those that wait. Jobs that are held are counted, and nothing else."""

    def __init__(self) -> None:
        self._running: OrderedDict[str, RunningJob] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._job_states: OrderedDict[str, tuple[str, str]] = OrderedDict()  # job → what became of it, and why
        self._outcomes: OrderedDict[str, str] = OrderedDict()  # job → how
        self._eta = Eta()

    def apply(self, recorded: RecordedEvent) -> Change | None:
        """Take in one event; return what viewers must be told, None where nothing they see has changed."""
        match recorded.event:
            case Accepted() as event:
                # A batch is the operator's; guests wait for guests. Of a dream that is there it is an echo.
                waits = event.lane == Lane.LIVE and self._outcomes.get(event.job_id) != "dreamt"
                return self._add_waiting(event.job_id, recorded.recorded_at) if waits else None
            case Started() as event:
                self._eta.record_start(event.job_id, event.worker, recorded.recorded_at)
                if recorded.held:
                    self._record_job_state(event.job_id, "held")
                    return self._remove_job(event.job_id, recorded.recorded_at)
                job = RunningJob(event.job_id, event.title, photo_name(event.photo_id), None, 0.0, recorded.recorded_at)
                return self._add_running("started", job)
            case Progress() as event:
                known = self._running.get(event.job_id)
                if known is None and event.job_id in self._outcomes:  # late, or a second time
                    return None
                if recorded.held:
                    return self._remove_job(event.job_id, recorded.recorded_at) if known else None
                job = known or RunningJob(event.job_id, "", photo_name(event.photo_id), None, 0.0, recorded.recorded_at)
                return self._add_running(
                    "frame", replace(job, frame=event.frame, fraction=event.fraction, heard=recorded.recorded_at)
                )
            case Completed() as event:
                self._job_states.pop(event.job_id, None)
                self._eta.record_end(event.job_id, recorded.recorded_at, is_completed=True)
                self._record_end(event.job_id, "dreamt")
                return self._remove_job(event.job_id, recorded.recorded_at)
            case Failed() | Cancelled() | Deleted() as event:
                self._eta.record_end(event.job_id, recorded.recorded_at, is_completed=False)
                self._record_end(event.job_id, event.type)
                if not isinstance(event, Deleted):
                    self._record_job_state(event.job_id, "failed")
                return self._remove_job(event.job_id, recorded.recorded_at)
            case FileRejected() as event:  # told to the guest who sent the file by hand, and to nobody else
                if sent := parse_file_name(event.file):
                    self._record_job_state(sent.job_id, "refused", event.reason)
                return None
            case _:
                return None

    def describe_job(self, job_id: str, now: float) -> dict[str, object] | None:
        """Tell whoever waits for one job where it is; None where nothing is known of it. `now` as in snapshot."""
        if job := self._running.get(job_id):
            shown = {"title": job.title, "photo": job.photo, "frame": job.frame, "fraction": job.fraction}
            return {"state": "emerging", **shown}
        if job_id in self._waiting:
            place = list(self._waiting).index(job_id)
            seconds = self._eta.estimate_seconds(place + 1, now)
            return {"state": "waiting", "ahead": place + len(self._running), "seconds": seconds}
        if fate := self._job_states.get(job_id):
            return {"state": fate[0], "reason": fate[1]}
        return None

    def is_visible(self, job_id: str) -> bool:
        """Tell whether a job is being dreamt before everybody's eyes."""
        return job_id in self._running

    def is_photo_visible(self, photo: str) -> bool:
        """Tell whether a photo is being dreamt before everybody's eyes."""
        return any(job.photo == photo for job in self._running.values())

    def snapshot(self, now: float) -> dict[str, object]:
        """Return the jobs being dreamt, in the order in which they were started, and how many wait.

        `now` is in epoch seconds of the broker's clock; `silent` tells how long ago a job was heard of.
        """
        return {
            "running": [
                {**asdict(job), "silent": max(0.0, now - job.heard)}
                for job in self._running.values()
                if now - job.heard < JOB_LOST_AFTER_SECONDS
            ],
        } | self.describe_queue(now)

    def describe_queue(self, now: float) -> dict[str, object]:
        """Tell how many photos wait, and in how many seconds the last of them will have its dream, None if unknown."""
        return {"waiting": len(self._waiting), "seconds": self._eta.estimate_seconds(len(self._waiting), now)}

    def _record_end(self, job_id: str, outcome: str) -> None:
        self._outcomes[job_id] = outcome
        _keep_newest(self._outcomes, MAX_ENDED_JOBS)

    def _record_job_state(self, job_id: str, state: str, reason: str = "") -> None:
        self._job_states[job_id] = state, reason
        _keep_newest(self._job_states, MAX_ENDED_JOBS)

    def _add_waiting(self, job_id: str, now: float) -> Change | None:
        before = len(self._waiting)
        self._job_states.pop(job_id, None)
        if job_id not in self._running:
            self._waiting[job_id] = None
        _keep_newest(self._waiting, MAX_WAITING_JOBS)
        return Change("waiting", self.describe_queue(now)) if len(self._waiting) != before else None

    def _add_running(self, kind: str, job: RunningJob) -> Change:
        self._waiting.pop(job.job_id, None)
        self._job_states.pop(job.job_id, None)
        self._outcomes.pop(job.job_id, None)
        self._running[job.job_id] = job
        if kind == "started":
            self._running.move_to_end(job.job_id)
        _keep_newest(self._running, MAX_RUNNING_JOBS)
        return Change(kind, asdict(job) | self.describe_queue(job.heard))

    def _remove_job(self, job_id: str, now: float) -> Change:
        """Neither count nor show a job any longer."""
        self._waiting.pop(job_id, None)
        self._running.pop(job_id, None)
        return Change("ended", {"job_id": job_id} | self.describe_queue(now))


def _keep_newest(jobs: OrderedDict[str, Any], limit: int) -> None:
    while len(jobs) > limit:
        jobs.popitem(last=False)
