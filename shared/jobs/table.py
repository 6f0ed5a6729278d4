"""The job table: the one guard that makes a photo, a recipe and a seed into exactly one dream."""

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
    Started,
)
from shared.jobs.job import Job, State
from shared.jobs.state_machine import LEASES, MAX_ATTEMPTS, UNCLAIMED, JobScripts, Outcome, TransitionResult, job_key
from shared.storage.sidecar import Visibility

#: Seconds after which a producer that wanted to queue a job and did not counts as dead.
RESERVATION_SECONDS = 5

#: Jobs that are asked for in one round trip.
JOBS_PER_ROUND_TRIP = 500

#: Why a job failed that nobody lived to finish.
ATTEMPTS_EXHAUSTED_REASON = f"It was started {MAX_ATTEMPTS} times, and each time the worker died over it."


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. A later claim of the same job makes it void (a fencing token)."""

    job: Job
    token: int
    #: Seconds between queueing and this claim, by the broker's clock.
    queued_seconds: float
    #: Whether its dream may be shown as soon as it is there.
    visibility: Visibility


@dataclass(frozen=True)
class Acceptance:
    """What became of a job that was handed in."""

    #: Whether it was entered now, for the first time or again.
    is_new: bool
    #: Whether it has to be queued, by whoever handed it in; nobody else does so for RESERVED seconds.
    needs_queueing: bool
    #: Its submitter's jobs that have not ended, with this one.
    unfinished_jobs: int


@dataclass(frozen=True)
class JobRecord:
    """What the table knows of a job."""

    job: Job
    state: State
    #: When it came into that state, in epoch seconds of the broker's clock.
    state_since: float
    #: Why it failed, else "".
    reason: str


class AlreadyClaimed(Exception):
    """Another worker is dreaming the job."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} is dreaming it")
        #: That worker's name.
        self.holder = holder


class AlreadyReserved(Exception):
    """Another producer is about to queue the job."""


class JobTable:
    """Every job's state, in Redis. Each method is one atomic transition; an illegal one changes nothing."""

    def __init__(
        self, client: redis.Redis, *, approval: bool = False, initialize: Callable[[], object] | None = None
    ) -> None:
        """approval: whether dreams wait for the operator where nobody has steered that yet.

        settle: tells a broker that lost its memory what was steered; without that it accepts no job, for nobody could
        say whether its dream may be seen. What it raises is raised by `accept`.
        """
        self._client = client
        self._initialize = initialize
        self._scripts = JobScripts(client, approval=approval)

    def accept(self, job: Job) -> Acceptance:
        """Enter a job, or one that failed or was cancelled again; one that is on its way or done is left alone.

        From here on the broker knows how it is steered: one that forgets that forgets the job. Raises Reserved where
        it was accepted before and another producer is about to queue it.
        """
        event = Accepted(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, lane=job.lane)
        options = {
            "job": job.model_dump_json(),
            "submitter": job.submitter,
            "reservation_seconds": RESERVATION_SECONDS,
            "require_initialized": bool(self._initialize) or None,
        }
        while (
            answer := self._run_transition(job.id, State.ACCEPTED, event, **options)
        ).outcome is Outcome.UNINITIALIZED:
            if self._initialize:
                self._initialize()
        if answer.outcome is Outcome.RESERVED:
            raise AlreadyReserved
        new = answer.outcome is Outcome.APPLIED
        return Acceptance(new, new or answer.outcome is Outcome.UNQUEUED, answer.unfinished_jobs)

    def mark_queued(self, job: Job) -> bool:
        """Record that a message for the job is in its lane; False where it is further already."""
        return self._try_transition(job.id, State.QUEUED, Queued(job_id=job.id, photo_id=job.photo_id))

    def claim(self, job: Job, worker: str) -> Claim | None:
        """Take a job to dream it, for as long as the claim is renewed; None where it has ended or is unknown.

        A job that was started TRIES times already fails. Raises Held while another worker's claim holds; one that ran
        out is void from here on.
        """
        event = Started(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, worker=worker)
        answer = self._run_transition(
            job.id, State.STARTED, event, holder=worker, previous_holder="", max_attempts=MAX_ATTEMPTS
        )
        if answer.outcome is Outcome.CLAIMED:
            raise AlreadyClaimed(answer.previous_holder)
        if answer.outcome is Outcome.ATTEMPTS_EXHAUSTED:
            self._fail_unclaimed(job.id, job.photo_id, ATTEMPTS_EXHAUSTED_REASON)
        if answer.outcome is not Outcome.APPLIED:
            return None
        return Claim(job, answer.token, answer.seconds_since_transition, answer.visibility)

    def renew_lease(self, claim: Claim) -> bool:
        """Hold a job for another LEASE seconds; False where the claim is void. It must not be void for having ended."""
        return self._try_transition(claim.job.id, None, None, token=claim.token)

    def record_progress(self, claim: Claim, frame: str, fraction: float) -> bool:
        """Announce a frame; False where the claim is void."""
        event = Progress(job_id=claim.job.id, photo_id=claim.job.photo_id, frame=frame, fraction=fraction)
        return self._try_transition(claim.job.id, None, event, token=claim.token)

    def release(self, claim: Claim) -> bool:
        """Let another worker have a job, as if this one had never started it; False where the claim is void.

        Its message must go back to its lane.
        """
        event = Queued(job_id=claim.job.id, photo_id=claim.job.photo_id)
        allowed_from = (State.STARTED,)
        return self._try_transition(
            claim.job.id, State.QUEUED, event, allowed_from=allowed_from, token=claim.token, do_not_count=True
        )

    def complete(self, claim: Claim, event: Completed) -> Visibility | None:
        """End a job with its dream, and append that event; None where the claim is void.

        Returns whether the dream may be seen.
        """
        answer = self._run_transition(claim.job.id, State.COMPLETED, event, token=claim.token)
        return answer.visibility if answer.outcome is Outcome.APPLIED else None

    def fail(self, claim: Claim, reason: str) -> bool:
        """End a job with a reason; False where the claim is void."""
        event = Failed(job_id=claim.job.id, photo_id=claim.job.photo_id, reason=reason)
        return self._try_transition(claim.job.id, State.FAILED, event, token=claim.token, reason=reason)

    def cancel(self, job_id: str) -> bool:
        """End a job before it has its dream; False where it has ended already, or is unknown. Voids every claim."""
        job = self.get_job(job_id)
        return job is not None and self._try_transition(
            job_id, State.CANCELLED, Cancelled(job_id=job_id, photo_id=job.photo_id)
        )

    def delete(self, job_id: str, photo_id: str) -> bool:
        """End a job for good, in whatever state it is, known here or not; False where that was done before."""
        return self._try_transition(job_id, State.DELETED, Deleted(job_id=job_id, photo_id=photo_id))

    def list_expired_leases(self) -> list[str]:
        """Name jobs that are dreamt by nobody any longer, some hundred at once.

        Call it every few seconds: after a pause, which may have been the broker's, workers are given time first.
        """
        return self._scripts.list_expired_leases()

    def list_leased(self) -> list[JobRecord]:
        """Return the jobs that are dreamt, also those whose worker has died a moment ago."""
        held = cast("list[str]", self._client.zrange(LEASES, 0, -1))
        return [entry for entry in self._read_records([job_key(job_id) for job_id in held]) if entry]

    def requeue(
        self, job_id: str, *, dead_worker: str | None = None, min_age_seconds: float | None = None
    ) -> Job | None:
        """Make a job that nobody holds ready to be queued once more; None where somebody does, or it has ended.

        holder: a worker that is known to be dead, whose claim need not run out. idle: seconds since its last step, at
        least. A job that was started TRIES times fails.
        """
        job = self.get_job(job_id)
        if job is None:
            return None
        allowed_from = (State.QUEUED, State.STARTED)
        answer = self._run_transition(
            job_id,
            State.ACCEPTED,
            None,
            allowed_from=allowed_from,
            previous_holder=dead_worker or "",
            max_attempts=MAX_ATTEMPTS,
            min_age_seconds=min_age_seconds,
        )
        if answer.outcome is Outcome.ATTEMPTS_EXHAUSTED:
            self._fail_unclaimed(job.id, job.photo_id, ATTEMPTS_EXHAUSTED_REASON)
        return job if answer.outcome is Outcome.APPLIED else None

    def list_unclaimed(self, min_age_seconds: float) -> list[str]:
        """Name the jobs whose last step was so long ago and that no worker holds: accepted or queued, oldest first."""
        return cast(
            "list[str]", self._client.zrange(UNCLAIMED, "-inf", self._broker_time_ago(min_age_seconds), byscore=True)
        )

    def count_unclaimed(self, min_age_seconds: float) -> int:
        """Count them."""
        return self._client.zcount(UNCLAIMED, "-inf", self._broker_time_ago(min_age_seconds))

    def show(self, event: Shown) -> bool:
        """Let everybody see a dream from now on; False for a deleted one."""
        return self._scripts.set_visibility(event, event.job_id, held=False)

    def hide(self, event: Hidden) -> bool:
        """Let nobody see a dream from now on; False for a deleted one."""
        return self._scripts.set_visibility(event, event.job_id, held=True)

    def restore_completed(self, job: Job, *, held: bool) -> bool:
        """Tell a broker that lost its memory of a dream; False where it knows the job."""
        return self._scripts.restore(job.id, State.COMPLETED, job.model_dump_json(), held=held)

    def restore_deleted(self, job_id: str) -> bool:
        """Tell it of a deleted dream; False where it knows the job."""
        return self._scripts.restore(job_id, State.DELETED, "", held=False)

    def restore_holds(self, job_ids: Sequence[str]) -> None:
        """Tell a broker that lost its memory of dreams that nobody may see, should their photos come again."""
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hsetnx(job_key(job_id), "held", "1")
            pipeline.execute()

    def are_not_visible(self, job_ids: Sequence[str]) -> list[bool]:
        """Tell which jobs are held or hidden, deleted, or not completed yet: nobody may see what is in the store."""
        found = []
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hmget(job_key(job_id), "state", "held")
            found += [held == "1" or state not in (None, State.COMPLETED) for state, held in pipeline.execute()]
        return found

    def get_record(self, job_id: str) -> JobRecord | None:
        """Return what is known of a job; None for an unknown one."""
        return self._read_records([job_key(job_id)])[0]

    def iter_records(self) -> Iterator[JobRecord]:
        """Go through all jobs, in no order; what is entered meanwhile may be missing."""
        keys: list[str] = []
        for key in self._client.scan_iter(job_key("*"), count=JOBS_PER_ROUND_TRIP):
            keys.append(key)
            if len(keys) == JOBS_PER_ROUND_TRIP:
                yield from filter(None, self._read_records(keys))
                keys = []
        yield from filter(None, self._read_records(keys))

    def get_states(self, job_ids: Sequence[str]) -> list[State | None]:
        """Return where jobs are, None for each that is unknown."""
        found: list[str | None] = []
        for start in range(0, len(job_ids), JOBS_PER_ROUND_TRIP):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + JOBS_PER_ROUND_TRIP]:
                pipeline.hget(job_key(job_id), "state")
            found += pipeline.execute()
        return [State(state) if state else None for state in found]

    def get_state(self, job_id: str) -> State | None:
        """Return where a job is; None for an unknown one."""
        state = cast("str | None", self._client.hget(job_key(job_id), "state"))
        return State(state) if state else None

    def get_job(self, job_id: str) -> Job | None:
        """Return a job as it was accepted; None for an unknown one, and for what is none."""
        text = cast("str | None", self._client.hget(job_key(job_id), "job"))
        try:
            return Job.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def count_attempts(self, job_ids: Sequence[str]) -> list[int]:
        """Return how often jobs were started and not handed back, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hget(job_key(job_id), "tries")
        return [int(tries or 0) for tries in pipeline.execute()]

    def read_raw_job(self, job_id: str, max_length: int) -> str | None:
        """Return what is written of a job, whatever it is; as many spaces as `longest` for more than that."""
        if self._client.hstrlen(job_key(job_id), "job") > max_length:
            return " " * max_length
        return cast("str | None", self._client.hget(job_key(job_id), "job"))

    def reject(self, job_id: str, reason: str) -> bool:
        """End what cannot be dreamt, with a reason; False where it has ended already, or somebody dreams it."""
        return self._fail_unclaimed(job_id, "", reason)

    def _run_transition(
        self, job_id: str, new_state: State | None, event: Event | None, **options: Any
    ) -> TransitionResult:
        return self._scripts.transition(job_id, new_state, event, **options)

    def _try_transition(self, job_id: str, new_state: State | None, event: Event | None, **options: Any) -> bool:
        return self._run_transition(job_id, new_state, event, **options).outcome is Outcome.APPLIED

    def _fail_unclaimed(self, job_id: str, photo_id: str, reason: str) -> bool:
        """Fail a job that nobody holds."""
        event = Failed(job_id=job_id, photo_id=photo_id, reason=reason)
        allowed_from = (State.ACCEPTED, State.QUEUED, State.STARTED)
        return self._try_transition(
            job_id, State.FAILED, event, allowed_from=allowed_from, previous_holder="", reason=reason
        )

    def _broker_time_ago(self, seconds: float) -> float:
        now, micros = self._client.time()
        return now + micros / 1e6 - seconds

    def _read_records(self, keys: Sequence[str]) -> list[JobRecord | None]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, "job", "state", "at", "reason")
        return [_parse_record(*found) for found in pipeline.execute()]


def _parse_record(job: str | None, state: str | None, state_since: str | None, reason: str | None) -> JobRecord | None:
    """Return what a record tells; None for one that tells nothing, or is of another version."""
    try:
        return JobRecord(Job.model_validate_json(job or ""), State(state or ""), float(state_since or ""), reason or "")
    except ValueError:
        return None
