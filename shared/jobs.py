"""Jobs and the job table: the one guard that makes a photo, a recipe and a seed into exactly one dream."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, cast

import redis
from pydantic import BaseModel, ConfigDict, Field

from shared.broker import PREFIX
from shared.events import (
    STREAM,
    STREAM_LENGTH,
    Accepted,
    Completed,
    Event,
    Failed,
    Progress,
    Queued,
    Stages,
    Started,
)
from shared.recipe import Recipe

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Lane(StrEnum):
    """Which queue a job waits in; `live` overtakes `batch` at every worker."""

    LIVE = "live"
    BATCH = "batch"


class Job(BaseModel):
    """One photo × one recipe × one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    photo_id: Sha256
    recipe: Recipe
    seed: int = Field(0, ge=0, lt=2**31)
    lane: Lane = Lane.LIVE
    #: Seconds that the producer spent, by stage.
    stages: Stages = {}

    @property
    def id(self) -> str:
        """Thirty-two hex digits: the same photo, recipe and seed give the same id on every machine."""
        identity = f"{self.photo_id}/{self.recipe.digest}/{self.seed}"
        return hashlib.sha256(identity.encode()).hexdigest()[:32]


class State(StrEnum):
    """Where a job is on its way."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    STARTED = "started"
    COMPLETED = "completed"
    FAILED = "failed"


#: The states that each state may follow. A new job has none.
LEGAL: dict[State, tuple[str, ...]] = {
    State.ACCEPTED: ("", State.FAILED),
    State.QUEUED: (State.ACCEPTED,),
    State.STARTED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.COMPLETED: (State.STARTED,),
    State.FAILED: (State.STARTED,),
}


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job. A later claim of the same job makes it void (a fencing token)."""

    job: Job
    token: int
    #: Seconds between queueing and this claim, by the broker's clock.
    waited: float


#: One atomic step: check state and token, change state, keep the time, append one event.
#: KEYS: job, stream. ARGV: event ("" for none), new state ("" keeps it), token ("" for any), job ("" keeps it),
#: length of the stream, then the legal states before.
#: Answers {token, seconds since the state before}, nothing where the transition is illegal.
_MOVE = """
local state, token = redis.call('HGET', KEYS[1], 'state') or '', redis.call('HGET', KEYS[1], 'token') or '0'
local legal = false
for i = 6, #ARGV do legal = legal or ARGV[i] == state end
if not legal or (ARGV[3] ~= '' and ARGV[3] ~= token) then
  return false
end
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local since = now - (redis.call('HGET', KEYS[1], 'at') or now)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'job', ARGV[4]) end
if ARGV[2] == 'started' then token = redis.call('HINCRBY', KEYS[1], 'token', 1) end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'state', ARGV[2], 'at', string.format('%.6f', now)) end
if ARGV[1] ~= '' then redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'event', ARGV[1]) end
return {tonumber(token), tostring(since)}
"""


class JobTable:
    """Every job's state, in Redis. Each method is one atomic transition; an illegal one changes nothing."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._move = client.register_script(_MOVE)

    def accept(self, job: Job) -> bool:
        """Enter a job, or a failed one again; False where it is already on its way or done."""
        event = Accepted(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, lane=job.lane)
        return self._to(State.ACCEPTED, job.id, event, job=job) is not None

    def queued(self, job: Job) -> bool:
        """Record that a message for the job is in its lane; False where it is further already."""
        return self._to(State.QUEUED, job.id, Queued(job_id=job.id, photo_id=job.photo_id)) is not None

    def claim(self, job_id: str, worker: str) -> Claim | None:
        """Take a job to dream it; None where it is done, failed or unknown. Voids every earlier claim."""
        job = self.job(job_id)
        if job is None:
            return None
        event = Started(job_id=job_id, photo_id=job.photo_id, title=job.recipe.title, worker=worker)
        if (moved := self._to(State.STARTED, job_id, event)) is None:
            return None
        token, since = moved
        return Claim(job, token, since)

    def progress(self, claim: Claim, frame: str, fraction: float) -> bool:
        """Announce a frame; False where the claim is void."""
        event = Progress(job_id=claim.job.id, photo_id=claim.job.photo_id, frame=frame, fraction=fraction)
        return self._to(None, claim.job.id, event, token=claim.token) is not None

    def complete(self, claim: Claim, event: Completed) -> bool:
        """End a job with its dream, and append that event; False where the claim is void."""
        return self._to(State.COMPLETED, claim.job.id, event, token=claim.token) is not None

    def fail(self, claim: Claim, reason: str) -> bool:
        """End a job with a reason; False where the claim is void."""
        event = Failed(job_id=claim.job.id, photo_id=claim.job.photo_id, reason=reason)
        return self._to(State.FAILED, claim.job.id, event, token=claim.token) is not None

    def state(self, job_id: str) -> State | None:
        """Return where a job is; None for an unknown one."""
        state = cast("str | None", self._client.hget(_key(job_id), "state"))
        return State(state) if state else None

    def job(self, job_id: str) -> Job | None:
        """Return a job as it was accepted; None for an unknown one."""
        text = cast("str | None", self._client.hget(_key(job_id), "job"))
        return Job.model_validate_json(text) if text else None

    def _to(
        self, state: State | None, job_id: str, event: Event, *, job: Job | None = None, token: int | None = None
    ) -> tuple[int, float] | None:
        """Make one transition; None keeps the state of a started job. Returns token and seconds since the last one."""
        answer = self._move(
            keys=[_key(job_id), STREAM],
            args=[
                event.model_dump_json(),
                state or "",
                "" if token is None else token,
                job.model_dump_json() if job else "",
                STREAM_LENGTH,
                *(LEGAL[state] if state else (State.STARTED,)),
            ],
        )
        if answer is None:
            return None
        new_token, since = cast("tuple[int, str]", answer)
        return new_token, float(since)


def _key(job_id: str) -> str:
    return f"{PREFIX}job:{job_id}"
