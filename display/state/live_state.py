"""Live state: running and waiting jobs, built from events. It holds no connection and reads no clock."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from display.state.eta import Eta
from shared.guest_upload_names import parse_file_name
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

#: Waiting jobs that are tracked. A longer queue is reported as this long.
MAX_WAITING_JOBS = 10_000

#: Running jobs that are tracked.
MAX_RUNNING_JOBS = 100

#: Ended jobs, and jobs without a visible dream, whose state is remembered for the guests who wait for them.
MAX_ENDED_JOBS = 1_000

#: Seconds without an event after which a running job counts as lost and is no longer shown.
JOB_LOST_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class RunningJob:
    """A job that a worker processes.

    photo, frame: object names, `frame` of the newest frame. fraction: share of the work that is done, 0 to 1.
    heard: epoch seconds of the job's last event.
    """

    job_id: str
    title: str
    photo: str
    frame: str | None
    fraction: float
    heard: float


@dataclass(frozen=True)
class Change:
    """A message for viewers: its kind, and a body that is sent as JSON."""

    kind: str
    body: dict[str, object]


class LiveState:
    """The running jobs and the number of waiting ones. A job that needs approval is counted, but never shown."""

    def __init__(self) -> None:
        self._running: OrderedDict[str, RunningJob] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._job_states: OrderedDict[str, dict[str, object]] = OrderedDict()  # job id → state, for its guest
        self._outcomes: OrderedDict[str, str] = OrderedDict()  # job id → how the job ended
        self._eta = Eta()

    def apply(self, recorded: RecordedEvent) -> Change | None:
        """Update the state with one event. Return the change to send to viewers, None if they see no difference."""
        match recorded.event:
            case Accepted() as event:
                # Only live jobs count: batch jobs never delay a guest. A completed job may be accepted again, which
                # changes nothing.
                is_waiting = event.lane == Lane.LIVE and self._outcomes.get(event.job_id) != "dreamt"
                return self._add_waiting(event.job_id, recorded.recorded_at) if is_waiting else None
            case Started() as event:
                self._eta.record_start(event.job_id, event.worker, recorded.recorded_at)
                if recorded.held:
                    self._record_job_state(event.job_id, "held")
                    return self._remove_job(event.job_id, recorded.recorded_at)
                job = RunningJob(event.job_id, event.title, photo_name(event.photo_id), None, 0.0, recorded.recorded_at)
                return self._add_running("started", job)
            case Progress() as event:
                running = self._running.get(event.job_id)
                if running is None and event.job_id in self._outcomes:  # late or duplicate: the job has ended
                    return None
                if recorded.held:
                    self._record_job_state(event.job_id, "held")
                    return self._remove_job(event.job_id, recorded.recorded_at) if running else None
                job = running or RunningJob(
                    event.job_id, "", photo_name(event.photo_id), None, 0.0, recorded.recorded_at
                )
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
            case FileRejected() as event:  # shown only to the guest who uploaded the file
                if upload := parse_file_name(event.file):
                    cause = event.cause and asdict(event.cause)
                    self._record_job_state(upload.job_id, "refused", reason=event.reason, cause=cause)
                return None
            case _:
                return None

    def list_unfinished(self) -> list[str]:
        """Return the ids of the jobs that run or wait."""
        return [*self._running, *self._waiting]

    def forget(self, job_ids: Sequence[str], now: float) -> list[Change]:
        """Stop counting and showing jobs whose end was missed. Return the changes to send to viewers, not one for each.

        now: epoch seconds of the broker's clock.
        """
        previous_count = len(self._waiting)
        for job_id in job_ids:
            self._eta.record_end(job_id, now, is_completed=False)
            self._waiting.pop(job_id, None)
        changes = [self._remove_job(job_id, now) for job_id in job_ids if job_id in self._running]
        if not changes and len(self._waiting) != previous_count:
            changes.append(Change("waiting", self.describe_queue(now)))
        return changes

    def describe_job(self, job_id: str, now: float) -> dict[str, object] | None:
        """Return the state of one job for the guest who waits for it, None if nothing is known of the job.

        `state` is "emerging" (running), "waiting", "held", "failed" or "refused", then with `reason` and `cause`
        as in FileRejected; `seconds` is the time until the dream is expected, None if unknown. now: epoch seconds of
        the broker's clock.
        """
        if job := self._running.get(job_id):
            details = {"title": job.title, "photo": job.photo, "frame": job.frame, "fraction": job.fraction}
            return {"state": "emerging", **details}
        if job_id in self._waiting:
            position = list(self._waiting).index(job_id)
            seconds = self._eta.estimate_seconds(position + 1, now)
            return {"state": "waiting", "ahead": position + len(self._running), "seconds": seconds}
        return self._job_states.get(job_id)

    def is_frame_visible(self, job_id: str, frame: str) -> bool:
        """Return whether a frame, named as an object, is one that a running job has announced to everybody.

        Other objects of the job, and later frames, may be in the store before it is decided whether guests see them.
        """
        job = self._running.get(job_id)
        return job is not None and job.frame is not None and _parse_frame(frame) <= _parse_frame(job.frame)

    def is_photo_visible(self, photo: str) -> bool:
        """Return whether a photo, named as an object, belongs to a job that is running and shown to everybody."""
        return any(job.photo == photo for job in self._running.values())

    def snapshot(self, now: float, is_shown: Callable[[RunningJob], bool] = lambda _: True) -> dict[str, object]:
        """Return the running jobs, in the order of their starts, and the length of the queue.

        now: epoch seconds of the broker's clock. A job's `silent` is the number of seconds since its last event.
        is_shown: returns whether a running job is wanted.
        """
        return {
            "running": [
                {**asdict(job), "silent": max(0.0, now - job.heard)}
                for job in self._running.values()
                if now - job.heard < JOB_LOST_AFTER_SECONDS and is_shown(job)
            ],
        } | self.describe_queue(now)

    def describe_queue(self, now: float) -> dict[str, object]:
        """Return the number of waiting photos, and the seconds until the last one has its dream, None if unknown."""
        return {"waiting": len(self._waiting), "seconds": self._eta.estimate_seconds(len(self._waiting), now)}

    def _record_end(self, job_id: str, outcome: str) -> None:
        self._outcomes[job_id] = outcome
        _keep_newest(self._outcomes, MAX_ENDED_JOBS)

    def _record_job_state(self, job_id: str, state: str, **details: object) -> None:
        self._job_states[job_id] = {"state": state, **details}
        _keep_newest(self._job_states, MAX_ENDED_JOBS)

    def _add_waiting(self, job_id: str, now: float) -> Change | None:
        previous_count = len(self._waiting)
        self._job_states.pop(job_id, None)
        if job_id not in self._running:
            self._waiting[job_id] = None
        _keep_newest(self._waiting, MAX_WAITING_JOBS)
        return Change("waiting", self.describe_queue(now)) if len(self._waiting) != previous_count else None

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
        """Stop counting and showing a job; return the change to send to viewers."""
        self._waiting.pop(job_id, None)
        self._running.pop(job_id, None)
        return Change("ended", {"job_id": job_id} | self.describe_queue(now))


def _parse_frame(name: str) -> float:
    """Return the number of a frame by its object name; infinity for any other object."""
    number = PurePosixPath(name).stem
    return int(number) if "/frames/" in name and number.isdecimal() else math.inf


def _keep_newest(jobs: OrderedDict[str, Any], limit: int) -> None:
    while len(jobs) > limit:
        jobs.popitem(last=False)
