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
from shared.jobs.state_machine import LEASES, TRIES, UNHELD, Answer, Outcome, Transitions, key_of
from shared.storage.sidecar import Standing

#: Seconds after which a producer that wanted to queue a job and did not counts as dead.
RESERVED = 5

#: Jobs that are asked for in one round trip.
CHUNK = 500

#: Why a job failed that nobody lived to finish.
WORN = f"It was started {TRIES} times, and each time the worker died over it."


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. A later claim of the same job makes it void (a fencing token)."""

    job: Job
    token: int
    #: Seconds between queueing and this claim, by the broker's clock.
    waited: float
    #: Whether its dream may be shown as soon as it is there.
    standing: Standing


@dataclass(frozen=True)
class Acceptance:
    """What became of a job that was handed in."""

    #: Whether it was entered now, for the first time or again.
    new: bool
    #: Whether it has to be queued, by whoever handed it in; nobody else does so for RESERVED seconds.
    unqueued: bool
    #: Its submitter's jobs that have not ended, with this one.
    underway: int


@dataclass(frozen=True)
class Entry:
    """What the table knows of a job."""

    job: Job
    state: State
    #: When it came into that state, in epoch seconds of the broker's clock.
    at: float
    #: Why it failed, else "".
    reason: str


class Held(Exception):
    """Another worker is dreaming the job."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} is dreaming it")
        #: That worker's name.
        self.holder = holder


class Reserved(Exception):
    """Another producer is about to queue the job."""


class JobTable:
    """Every job's state, in Redis. Each method is one atomic transition; an illegal one changes nothing."""

    def __init__(
        self, client: redis.Redis, *, approval: bool = False, settle: Callable[[], object] | None = None
    ) -> None:
        """approval: whether dreams wait for the operator where nobody has steered that yet.

        settle: tells a broker that lost its memory what was steered; without that it accepts no job, for nobody could
        say whether its dream may be seen. What it raises is raised by `accept`.
        """
        self._client = client
        self._settle = settle
        self._transitions = Transitions(client, approval=approval)

    def accept(self, job: Job) -> Acceptance:
        """Enter a job, or one that failed or was cancelled again; one that is on its way or done is left alone.

        From here on the broker knows how it is steered: one that forgets that forgets the job. Raises Reserved where
        it was accepted before and another producer is about to queue it.
        """
        event = Accepted(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, lane=job.lane)
        asked = {
            "job": job.model_dump_json(),
            "submitter": job.submitter,
            "reserve": RESERVED,
            "settled": bool(self._settle) or None,
        }
        while (answer := self._take(job.id, State.ACCEPTED, event, **asked)).outcome is Outcome.UNSETTLED:
            if self._settle:
                self._settle()
        if answer.outcome is Outcome.RESERVED:
            raise Reserved
        new = answer.outcome is Outcome.MOVED
        return Acceptance(new, new or answer.outcome is Outcome.UNQUEUED, answer.underway)

    def queued(self, job: Job) -> bool:
        """Record that a message for the job is in its lane; False where it is further already."""
        return self._moved(job.id, State.QUEUED, Queued(job_id=job.id, photo_id=job.photo_id))

    def claim(self, job: Job, worker: str) -> Claim | None:
        """Take a job to dream it, for as long as the claim is renewed; None where it has ended or is unknown.

        A job that was started TRIES times already fails. Raises Held while another worker's claim holds; one that ran
        out is void from here on.
        """
        event = Started(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, worker=worker)
        answer = self._take(job.id, State.STARTED, event, holder=worker, free="", tries=TRIES)
        if answer.outcome is Outcome.HELD:
            raise Held(answer.holder)
        if answer.outcome is Outcome.WORN:
            self._end(job.id, job.photo_id, WORN)
        if answer.outcome is not Outcome.MOVED:
            return None
        return Claim(job, answer.token, answer.since, answer.standing)

    def renew(self, claim: Claim) -> bool:
        """Hold a job for another LEASE seconds; False where the claim is void. It must not be void for having ended."""
        return self._moved(claim.job.id, None, None, token=claim.token)

    def progress(self, claim: Claim, frame: str, fraction: float) -> bool:
        """Announce a frame; False where the claim is void."""
        event = Progress(job_id=claim.job.id, photo_id=claim.job.photo_id, frame=frame, fraction=fraction)
        return self._moved(claim.job.id, None, event, token=claim.token)

    def hand_back(self, claim: Claim) -> bool:
        """Let another worker have a job, as if this one had never started it; False where the claim is void.

        Its message must go back to its lane.
        """
        event = Queued(job_id=claim.job.id, photo_id=claim.job.photo_id)
        since = (State.STARTED,)
        return self._moved(claim.job.id, State.QUEUED, event, since=since, token=claim.token, spare=True)

    def complete(self, claim: Claim, event: Completed) -> Standing | None:
        """End a job with its dream, and append that event; None where the claim is void.

        Returns whether the dream may be seen.
        """
        answer = self._take(claim.job.id, State.COMPLETED, event, token=claim.token)
        return answer.standing if answer.outcome is Outcome.MOVED else None

    def fail(self, claim: Claim, reason: str) -> bool:
        """End a job with a reason; False where the claim is void."""
        event = Failed(job_id=claim.job.id, photo_id=claim.job.photo_id, reason=reason)
        return self._moved(claim.job.id, State.FAILED, event, token=claim.token, reason=reason)

    def cancel(self, job_id: str) -> bool:
        """End a job before it has its dream; False where it has ended already, or is unknown. Voids every claim."""
        job = self.job(job_id)
        return job is not None and self._moved(job_id, State.CANCELLED, Cancelled(job_id=job_id, photo_id=job.photo_id))

    def delete(self, job_id: str, photo_id: str) -> bool:
        """End a job for good, in whatever state it is, known here or not; False where that was done before."""
        return self._moved(job_id, State.DELETED, Deleted(job_id=job_id, photo_id=photo_id))

    def lapsed(self) -> list[str]:
        """Name jobs that are dreamt by nobody any longer, some hundred at once.

        Call it every few seconds: after a pause, which may have been the broker's, workers are given time first.
        """
        return self._transitions.lapsed()

    def leased(self) -> list[Entry]:
        """Return the jobs that are dreamt, also those whose worker has died a moment ago."""
        held = cast("list[str]", self._client.zrange(LEASES, 0, -1))
        return [entry for entry in self._entries([key_of(job_id) for job_id in held]) if entry]

    def take_back(self, job_id: str, *, holder: str | None = None, idle: float | None = None) -> Job | None:
        """Make a job that nobody holds ready to be queued once more; None where somebody does, or it has ended.

        holder: a worker that is known to be dead, whose claim need not run out. idle: seconds since its last step, at
        least. A job that was started TRIES times fails.
        """
        job = self.job(job_id)
        if job is None:
            return None
        since = (State.QUEUED, State.STARTED)
        answer = self._take(job_id, State.ACCEPTED, None, since=since, free=holder or "", tries=TRIES, idle=idle)
        if answer.outcome is Outcome.WORN:
            self._end(job.id, job.photo_id, WORN)
        return job if answer.outcome is Outcome.MOVED else None

    def unheld(self, seconds: float) -> list[str]:
        """Name the jobs whose last step was so long ago and that no worker holds: accepted or queued, oldest first."""
        return cast("list[str]", self._client.zrange(UNHELD, "-inf", self._ago(seconds), byscore=True))

    def count_unheld(self, seconds: float) -> int:
        """Count them."""
        return self._client.zcount(UNHELD, "-inf", self._ago(seconds))

    def show(self, event: Shown) -> bool:
        """Let everybody see a dream from now on; False for a deleted one."""
        return self._transitions.stand(event, event.job_id, held=False)

    def hide(self, event: Hidden) -> bool:
        """Let nobody see a dream from now on; False for a deleted one."""
        return self._transitions.stand(event, event.job_id, held=True)

    def remember(self, job: Job, *, held: bool) -> bool:
        """Tell a broker that lost its memory of a dream; False where it knows the job."""
        return self._transitions.remember(job.id, State.COMPLETED, job.model_dump_json(), held=held)

    def remember_deleted(self, job_id: str) -> bool:
        """Tell it of a deleted dream; False where it knows the job."""
        return self._transitions.remember(job_id, State.DELETED, "", held=False)

    def remind(self, job_ids: Sequence[str]) -> None:
        """Tell a broker that lost its memory of dreams that nobody may see, should their photos come again."""
        for start in range(0, len(job_ids), CHUNK):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + CHUNK]:
                pipeline.hsetnx(key_of(job_id), "held", "1")
            pipeline.execute()

    def held(self, job_ids: Sequence[str]) -> list[bool]:
        """Tell which jobs are held or hidden, deleted, or not completed yet: nobody may see what is in the store."""
        found = []
        for start in range(0, len(job_ids), CHUNK):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + CHUNK]:
                pipeline.hmget(key_of(job_id), "state", "held")
            found += [held == "1" or state not in (None, State.COMPLETED) for state, held in pipeline.execute()]
        return found

    def entry(self, job_id: str) -> Entry | None:
        """Return what is known of a job; None for an unknown one."""
        return self._entries([key_of(job_id)])[0]

    def entries(self) -> Iterator[Entry]:
        """Go through all jobs, in no order; what is entered meanwhile may be missing."""
        keys: list[str] = []
        for key in self._client.scan_iter(key_of("*"), count=CHUNK):
            keys.append(key)
            if len(keys) == CHUNK:
                yield from filter(None, self._entries(keys))
                keys = []
        yield from filter(None, self._entries(keys))

    def states(self, job_ids: Sequence[str]) -> list[State | None]:
        """Return where jobs are, None for each that is unknown."""
        found: list[str | None] = []
        for start in range(0, len(job_ids), CHUNK):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + CHUNK]:
                pipeline.hget(key_of(job_id), "state")
            found += pipeline.execute()
        return [State(state) if state else None for state in found]

    def state(self, job_id: str) -> State | None:
        """Return where a job is; None for an unknown one."""
        state = cast("str | None", self._client.hget(key_of(job_id), "state"))
        return State(state) if state else None

    def job(self, job_id: str) -> Job | None:
        """Return a job as it was accepted; None for an unknown one, and for what is none."""
        text = cast("str | None", self._client.hget(key_of(job_id), "job"))
        try:
            return Job.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def starts(self, job_ids: Sequence[str]) -> list[int]:
        """Return how often jobs were started and not handed back, in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for job_id in job_ids:
            pipeline.hget(key_of(job_id), "tries")
        return [int(tries or 0) for tries in pipeline.execute()]

    def written(self, job_id: str, longest: int) -> str | None:
        """Return what is written of a job, whatever it is; as many spaces as `longest` for more than that."""
        if self._client.hstrlen(key_of(job_id), "job") > longest:
            return " " * longest
        return cast("str | None", self._client.hget(key_of(job_id), "job"))

    def reject(self, job_id: str, reason: str) -> bool:
        """End what cannot be dreamt, with a reason; False where it has ended already, or somebody dreams it."""
        return self._end(job_id, "", reason)

    def _take(self, job_id: str, to: State | None, event: Event | None, **asked: Any) -> Answer:
        return self._transitions.take(job_id, to, event, **asked)

    def _moved(self, job_id: str, to: State | None, event: Event | None, **asked: Any) -> bool:
        return self._take(job_id, to, event, **asked).outcome is Outcome.MOVED

    def _end(self, job_id: str, photo_id: str, reason: str) -> bool:
        """Fail a job that nobody holds."""
        event = Failed(job_id=job_id, photo_id=photo_id, reason=reason)
        since = (State.ACCEPTED, State.QUEUED, State.STARTED)
        return self._moved(job_id, State.FAILED, event, since=since, free="", reason=reason)

    def _ago(self, seconds: float) -> float:
        now, micros = self._client.time()
        return now + micros / 1e6 - seconds

    def _entries(self, keys: Sequence[str]) -> list[Entry | None]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, "job", "state", "at", "reason")
        return [_entry(*found) for found in pipeline.execute()]


def _entry(job: str | None, state: str | None, at: str | None, reason: str | None) -> Entry | None:
    """Return what a record tells; None for one that tells nothing, or is of another version."""
    try:
        return Entry(Job.model_validate_json(job or ""), State(state or ""), float(at or ""), reason or "")
    except ValueError:
        return None
