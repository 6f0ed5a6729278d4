"""The job table: every job's state in Redis, so that a photo, a recipe and a seed make exactly one dream."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis
from pydantic import ValidationError

from shared.jobs.events import (
    Accepted,
    Cancelled,
    Completed,
    Deleted,
    Event,
    Failed,
    Hidden,
    Progress,
    Queued,
    Shown,
    Stage,
    Started,
)
from shared.jobs.job import Job, State
from shared.jobs.state_machine import MAX_ATTEMPTS, JobScripts, Outcome, QueueMessage, TransitionResult
from shared.redis_keys import LEASES, LEFTOVERS, UNCLAIMED, job_key
from shared.storage.sidecar import Visibility
from shared.timing import DEFAULT_TIMING, Timing

#: Jobs read in one round trip.
JOBS_PER_ROUND_TRIP = 500

#: Reason of a job that failed because every worker that started it died.
ATTEMPTS_EXHAUSTED_REASON = f"It was started {MAX_ATTEMPTS} times, and each time the worker died over it."


@dataclass(frozen=True)
class Claim:
    """A worker's exclusive right to process a job. A later claim of the same job voids it (a fencing token)."""

    job: Job
    #: Name of the worker.
    worker: str
    #: Fencing token: greater than that of every earlier claim of the job, also of a claim that a wiped broker has lost.
    token: int
    #: Seconds between queueing and this claim, by the broker's clock.
    queued_seconds: float
    #: Whether the dream is visible as soon as it is complete.
    visibility: Visibility
    #: How often the job was handed back before because of an error.
    hand_backs: int
    #: How often the job was started, this time included and attempts that were released in good order not: of each
    #: earlier one the worker died, mostly.
    attempts: int


@dataclass(frozen=True)
class Acceptance:
    """The result of submitting a job to the table."""

    #: Whether the job was accepted now, for the first time or after it had failed or been cancelled.
    is_new: bool
    #: Whether its message was put into its lane now.
    is_queued: bool


@dataclass(frozen=True)
class JobRecord:
    """A job and its state in the table."""

    job: Job
    state: State
    #: When the job entered that state, in epoch seconds of the broker's clock.
    state_since: float
    #: Why the job failed; "" if it did not.
    reason: str


class AlreadyClaimed(Exception):
    """Another worker has a valid claim on the job."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} is dreaming it")
        #: Name of that worker.
        self.holder = holder


class JobTable:
    """Every job's state, in Redis. Each transition is atomic; an illegal one changes nothing.

    All methods raise RedisError if the broker is unavailable.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        approval: bool = False,
        initialize: Callable[[], object] | None = None,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """approval: whether dreams need approval while the runtime settings do not say.

        initialize: restores the runtime settings of a wiped broker. With it, `accept` accepts no job before the runtime
        settings are initialised, because until then it is unknown whether a dream needs approval; it calls
        `initialize` and passes on its exceptions. None: jobs are accepted without this check.
        """
        #: Times of leases.
        self.timing = timing
        self._client = client
        self._initialize = initialize
        self._scripts = JobScripts(client, timing, approval=approval)

    def load_scripts(self) -> None:
        """Have the broker keep the script of transitions, so that the first job takes one round trip."""
        self._scripts.load()

    def accept(
        self,
        job: Job,
        *,
        message: QueueMessage | None = None,
        revive: bool = True,
        arrived_seconds_ago: float | None = None,
        is_counted: bool = False,
    ) -> Acceptance:
        """Accept a job that is new, failed or cancelled, and queue it in the same step.

        A job that was accepted before and not queued is queued now; a queued, started, completed or deleted job is not
        changed. message: None: it stays accepted, and a worker's reconciler queues it some time later.
        revive: whether a failed or cancelled job is accepted again. arrived_seconds_ago: since its photo arrived, for
        the waiting times; None: nobody waits for it, or it is not known. is_counted: whether it is in the usage counts
        already, as a job is that a wiped broker has lost.
        The broker has initialised runtime settings from then on; it can only lose them together with the job.
        """
        event = Accepted(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, lane=job.lane)
        options = {
            "job": job.model_dump_json(),
            "submitter": job.submitter,
            "message": message,
            "queued_event": Queued(job_id=job.id, photo_id=job.photo_id),
            "require_initialized": bool(self._initialize) or None,
            "counted_as": job.counted_as,
            "compared_as": job.comparison and job.comparison.counted_as,
            "counted_before": is_counted or None,
            "arrived_seconds_ago": arrived_seconds_ago,
            "allowed_from": () if revive else ("",),
        }
        while (
            result := self._run_transition(job.id, State.ACCEPTED, event, **options)
        ).outcome is Outcome.UNINITIALIZED:
            if self._initialize:
                self._initialize()
        is_new = result.outcome is Outcome.APPLIED
        return Acceptance(is_new, result.outcome is Outcome.QUEUED or (is_new and message is not None))

    def claim(self, job: Job, worker: str, *, announce: bool = True) -> Claim | None:
        """Claim a job for a worker, for as long as it renews the lease; None if the job has ended or is unknown.

        announce: whether to append the event; without it, the job and its photo stay unseen until `announce_start`.
        A job that was already started MAX_ATTEMPTS times fails instead. An earlier claim whose lease has expired
        becomes void. Raises AlreadyClaimed if another worker's lease is still valid.
        """
        event = Started(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, worker=worker)
        result = self._run_transition(
            job.id,
            State.STARTED,
            event if announce else None,
            holder=worker,
            previous_holder="",
            max_attempts=MAX_ATTEMPTS,
        )
        if result.outcome is Outcome.CLAIMED:
            raise AlreadyClaimed(result.previous_holder)
        if result.outcome is Outcome.ATTEMPTS_EXHAUSTED:
            self._fail_unclaimed(job.id, job.photo_id, ATTEMPTS_EXHAUSTED_REASON)
        if result.outcome is not Outcome.APPLIED:
            return None
        return Claim(
            job=job,
            worker=worker,
            token=result.token,
            queued_seconds=result.seconds_since_transition,
            visibility=result.visibility,
            hand_backs=result.hand_backs,
            attempts=result.attempts,
        )

    def announce_start(self, claim: Claim, *, hold: bool) -> Visibility | None:
        """Append the event that a claimed job was started, and renew the lease; None if the claim is void.

        hold: whether the dream needs approval, which the event says. Returns the visibility of the dream.
        """
        event = Started(
            job_id=claim.job.id, photo_id=claim.job.photo_id, title=claim.job.recipe.title, worker=claim.worker
        )
        result = self._run_transition(claim.job.id, None, event, token=claim.token, hold=hold or None)
        return result.visibility if result.outcome is Outcome.APPLIED else None

    def renew_lease(self, claim: Claim) -> bool:
        """Renew the lease for `lease_seconds`; False if the claim is void, as it also is once the job has ended."""
        return self._try_transition(claim.job.id, None, None, token=claim.token)

    def record_progress(self, claim: Claim, frame: str, fraction: float, *, hold: bool = False) -> bool:
        """Append the event of a new frame and renew the lease; False if the claim is void.

        frame: object name. fraction: share of the work done, in (0, 1]. hold: whether the dream needs approval.
        """
        event = Progress(job_id=claim.job.id, photo_id=claim.job.photo_id, frame=frame, fraction=fraction)
        return self._try_transition(claim.job.id, None, event, token=claim.token, hold=hold or None)

    def release(self, claim: Claim, *, count: bool = False, is_attempt: bool = False) -> bool:
        """Release a claimed job for another worker; False if the claim is void.

        count: whether it counts as one of MAX_HAND_BACKS. is_attempt: whether it counts as one of MAX_ATTEMPTS. The
        caller must return its message to the lane.
        """
        event = Queued(job_id=claim.job.id, photo_id=claim.job.photo_id)
        return self._try_transition(
            claim.job.id,
            State.QUEUED,
            event,
            allowed_from=(State.STARTED,),
            token=claim.token,
            do_not_count=None if is_attempt else True,
            count_hand_back=count or None,
        )

    def complete(
        self, claim: Claim, event: Completed, *, hold: bool = False, is_replaced: bool = False
    ) -> Visibility | None:
        """Complete a job and append the event. Returns the visibility of its dream; None if the claim is void.

        hold: whether the dream needs approval. is_replaced: whether its recipe could not be dreamt, and the current
        version was instead.
        """
        dream_seconds = event.stages.get(Stage.DREAM)
        result = self._run_transition(
            claim.job.id,
            State.COMPLETED,
            event,
            token=claim.token,
            hold=hold or None,
            replaced=is_replaced or None,
            dream_milliseconds=None if dream_seconds is None else 1000 * dream_seconds,
        )
        return result.visibility if result.outcome is Outcome.APPLIED else None

    def fail(self, claim: Claim, reason: str) -> bool:
        """Fail a claimed job with a reason; False if the claim is void."""
        event = Failed(job_id=claim.job.id, photo_id=claim.job.photo_id, reason=reason)
        return self._try_transition(claim.job.id, State.FAILED, event, token=claim.token, reason=reason)

    def cancel(self, job_id: str) -> bool:
        """Cancel an unfinished job and void every claim of it; False if it has ended or is unknown."""
        job = self.get_job(job_id)
        return job is not None and self._try_transition(
            job_id, State.CANCELLED, Cancelled(job_id=job_id, photo_id=job.photo_id)
        )

    def delete(self, job_id: str, photo_id: str) -> bool:
        """Mark a job as deleted for good, in any state and even if unknown; False if it was deleted before."""
        return self._try_transition(job_id, State.DELETED, Deleted(job_id=job_id, photo_id=photo_id))

    def list_leftovers(self) -> list[str]:
        """Return ids of jobs that failed or were cancelled, and whose objects may still be in the store."""
        return list(cast("set[str]", self._client.smembers(LEFTOVERS)))

    def forget_leftovers(self, job_id: str) -> None:
        """Record that no objects of a job without a dream are left."""
        self._client.srem(LEFTOVERS, job_id)

    def list_expired_leases(self) -> list[str]:
        """Return ids of jobs whose lease has expired, at most 500, the longest expired first.

        Call it every few seconds: after `outage_after_seconds` without a call, which may be an outage of the broker, it
        returns nothing for `renewal_grace_seconds`, so that workers can renew first.
        """
        return self._scripts.list_expired_leases()

    def list_leased(self) -> list[JobRecord]:
        """Return the jobs that have a lease, including expired leases of workers that have just died."""
        job_ids = cast("list[str]", self._client.zrange(LEASES, 0, -1))
        return [record for record in self._read_records([job_key(job_id) for job_id in job_ids]) if record]

    def requeue(
        self, job_id: str, *, dead_worker: str | None = None, min_age_seconds: float | None = None
    ) -> Job | None:
        """Return an unclaimed job to the state accepted and return it, so that the caller can queue it again.

        None if the job is claimed by a live worker, has ended, or is unknown. dead_worker: name of a worker that is
        known to be dead; its lease need not have expired. min_age_seconds: least seconds since the last transition. A
        job that was already started MAX_ATTEMPTS times fails instead.
        """
        job = self.get_job(job_id)
        if job is None:
            return None
        allowed_from = (State.QUEUED, State.STARTED)
        result = self._run_transition(
            job_id,
            State.ACCEPTED,
            None,
            allowed_from=allowed_from,
            previous_holder=dead_worker or "",
            max_attempts=MAX_ATTEMPTS,
            min_age_seconds=min_age_seconds,
        )
        if result.outcome is Outcome.ATTEMPTS_EXHAUSTED:
            self._fail_unclaimed(job.id, job.photo_id, ATTEMPTS_EXHAUSTED_REASON, dead_worker=dead_worker or "")
        return job if result.outcome is Outcome.APPLIED else None

    def list_unclaimed(self, min_age_seconds: float) -> list[str]:
        """Return ids of accepted and queued jobs without a transition for `min_age_seconds`, oldest first."""
        return cast(
            "list[str]", self._client.zrange(UNCLAIMED, "-inf", self._broker_time_ago(min_age_seconds), byscore=True)
        )

    def count_unclaimed(self, min_age_seconds: float) -> int:
        """Count the accepted and queued jobs without a transition for `min_age_seconds`."""
        return self._client.zcount(UNCLAIMED, "-inf", self._broker_time_ago(min_age_seconds))

    def list_unfinished_photo_ids(self) -> set[str]:
        """Return the ids of all photos of accepted, queued and started jobs, also of jobs of another version."""
        pipeline = self._client.pipeline()  # in one step, or a job that is claimed or released meanwhile is missed
        for index in (UNCLAIMED, LEASES):
            pipeline.zrange(index, 0, -1)
        job_ids = [job_id for indexed in pipeline.execute() for job_id in indexed]
        photo_ids = set()
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hget(job_key(job_id), "job")
            photo_ids |= set(map(_parse_photo_id, pipeline.execute()))
        return photo_ids - {""}

    def show(self, event: Shown) -> bool:
        """Make a dream visible and append the event; False if the dream was deleted."""
        return self._scripts.set_visibility(event, event.job_id, held=False)

    def hide(self, event: Hidden) -> bool:
        """Hide a dream and append the event; False if the dream was deleted."""
        return self._scripts.set_visibility(event, event.job_id, held=True)

    def restore_completed(self, job: Job, *, held: bool) -> bool:
        """Restore a completed job in a wiped broker; False if the broker knows the job.

        held: whether its dream is not visible.
        """
        return self._scripts.restore(job.id, State.COMPLETED, job.model_dump_json(), held=held)

    def restore_deleted(self, job_id: str) -> bool:
        """Restore a deleted job in a wiped broker; False if the broker knows the job."""
        return self._scripts.restore(job_id, State.DELETED, "", held=False)

    def restore_holds(self, job_ids: Sequence[str]) -> None:
        """Restore in a wiped broker that dreams are not visible, in case their photos are submitted again."""
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hsetnx(job_key(job_id), "held", "1")
            pipeline.execute()

    def are_not_visible(self, job_ids: Sequence[str]) -> list[bool]:
        """Return for each job whether it is held, hidden, deleted or not completed: its objects must not be shown.

        False for an unknown job.
        """
        not_visible = []
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hmget(job_key(job_id), "state", "held")
            not_visible += [held == "1" or state not in (None, State.COMPLETED) for state, held in pipeline.execute()]
        return not_visible

    def get_record(self, job_id: str) -> JobRecord | None:
        """Return a job with its state; None if it is unknown or its record is unreadable."""
        return self.get_records([job_id])[0]

    def get_records(self, job_ids: Sequence[str]) -> list[JobRecord | None]:
        """Return jobs with their states, as `get_record`, in one round trip."""
        return self._read_records([job_key(job_id) for job_id in job_ids])

    def iter_records(self, id_prefix: str = "") -> Iterator[JobRecord]:
        """Yield all jobs whose ids begin with some hex digits, in no particular order.

        Jobs accepted meanwhile may be missing.
        """
        keys: list[str] = []
        for key in self._client.scan_iter(job_key(f"{id_prefix}*"), count=JOBS_PER_ROUND_TRIP):
            keys.append(key)
            if len(keys) == JOBS_PER_ROUND_TRIP:
                yield from filter(None, self._read_records(keys))
                keys = []
        yield from filter(None, self._read_records(keys))

    def get_states(self, job_ids: Sequence[str]) -> list[State | None]:
        """Return the state of each job, None for an unknown one."""
        states: list[str | None] = []
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hget(job_key(job_id), "state")
            states += pipeline.execute()
        return [State(state) if state else None for state in states]

    def get_state(self, job_id: str) -> State | None:
        """Return the state of a job; None if it is unknown."""
        state = cast("str | None", self._client.hget(job_key(job_id), "state"))
        return State(state) if state else None

    def get_job(self, job_id: str) -> Job | None:
        """Return a job as it was accepted; None if it is unknown or its record is not a valid job."""
        job_json = cast("str | None", self._client.hget(job_key(job_id), "job"))
        try:
            return Job.model_validate_json(job_json) if job_json else None
        except ValidationError:
            return None

    def get_seconds_since_arrival(self, job_id: str) -> float | None:
        """Return the seconds since the photo of an unfinished job arrived; None if unknown, or once it has ended."""
        arrived_at = cast("str | None", self._client.hget(job_key(job_id), "arrived"))
        if not arrived_at:
            return None
        now, microseconds = self._client.time()
        return now + microseconds / 1e6 - float(arrived_at)

    def count_attempts(self, job_ids: Sequence[str]) -> list[int]:
        """Return how often each job was started, attempts that were released not counted, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hget(job_key(job_id), "tries")
        return [int(attempts or 0) for attempts in pipeline.execute()]

    def read_raw_job(self, job_id: str, max_length: int) -> str | None:
        """Return the stored text of a job without validating it; `max_length` spaces if it has more bytes than that."""
        if self._client.hstrlen(job_key(job_id), "job") > max_length:
            return " " * max_length
        return cast("str | None", self._client.hget(job_key(job_id), "job"))

    def reject(self, job_id: str, reason: str) -> bool:
        """Fail a job that cannot be processed; False if it has ended, is unknown, or is claimed by a live worker."""
        return self._fail_unclaimed(job_id, "", reason)

    def _run_transition(
        self, job_id: str, new_state: State | None, event: Event | None, **options: Any
    ) -> TransitionResult:
        return self._scripts.transition(job_id, new_state, event, **options)

    def _try_transition(self, job_id: str, new_state: State | None, event: Event | None, **options: Any) -> bool:
        return self._run_transition(job_id, new_state, event, **options).outcome is Outcome.APPLIED

    def _fail_unclaimed(self, job_id: str, photo_id: str, reason: str, *, dead_worker: str = "") -> bool:
        """Fail a job that no live worker has claimed. dead_worker: its lease need not have expired."""
        event = Failed(job_id=job_id, photo_id=photo_id, reason=reason)
        allowed_from = (State.ACCEPTED, State.QUEUED, State.STARTED)
        return self._try_transition(
            job_id, State.FAILED, event, allowed_from=allowed_from, previous_holder=dead_worker, reason=reason
        )

    def _broker_time_ago(self, seconds: float) -> float:
        now, microseconds = self._client.time()
        return now + microseconds / 1e6 - seconds

    def _read_records(self, keys: Sequence[str]) -> list[JobRecord | None]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, "job", "state", "at", "reason")
        return [_parse_record(*fields) for fields in pipeline.execute()]


def _parse_photo_id(job: str | None) -> str:
    """Return the id of the photo of a job's record; "" if it is missing or unreadable."""
    try:
        return str(json.loads(job or "")["photo_id"])
    except (ValueError, TypeError, LookupError):
        return ""


def _parse_record(job: str | None, state: str | None, state_since: str | None, reason: str | None) -> JobRecord | None:
    """Return a record from its fields; None if it is missing, empty, or of another version."""
    try:
        return JobRecord(Job.model_validate_json(job or ""), State(state or ""), float(state_since or ""), reason or "")
    except ValueError:
        return None
