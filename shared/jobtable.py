"""The job table: the one guard that makes a photo, a recipe and a seed into exactly one dream."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import redis
from pydantic import ValidationError

from shared.broker import PREFIX
from shared.events import (
    STREAM,
    STREAM_LENGTH,
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
from shared.jobs import Job, State
from shared.sidecar import Standing
from shared.steering import STEERING

#: The states that each state may follow. A new job has none.
LEGAL: dict[State, tuple[str, ...]] = {
    State.ACCEPTED: ("", State.FAILED, State.CANCELLED),
    State.QUEUED: (State.ACCEPTED,),
    State.STARTED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.COMPLETED: (State.STARTED,),
    State.FAILED: (State.STARTED,),
    State.CANCELLED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.DELETED: ("", *(state for state in State if state != State.DELETED)),
}

#: How many jobs of each submitter are on their way.
UNDERWAY = f"{PREFIX}underway"

#: Seconds after which a producer that wanted to queue a job and did not counts as dead.
RESERVED = 5

#: Jobs that are asked for in one round trip.
CHUNK = 500


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
class Entry:
    """What the table knows of a job."""

    job: Job
    state: State
    #: When it came into that state, in epoch seconds of the broker's clock.
    at: float
    #: Why it failed, else "".
    reason: str


#: One atomic step: check state and token, change state, keep the time, append one event, count what is on its way.
#: Where the operator approves each dream, the job is marked as held, and so is its event: no picture of it can slip
#: past a switch that was turned before.
#: KEYS: job, stream, jobs on their way by submitter, steering. ARGV: event, new state ("" keeps it), token ("" for
#: any), job ("" keeps it), length of the stream, reason, submitter, approval where the steering does not say, "1" where
#: nothing may happen before the steering is settled, then the legal states before. Answers {token, seconds since the
#: state before, held}, nothing where the transition is illegal, -1 where the steering is not settled.
_MOVE = """
if ARGV[9] == '1' and redis.call('HEXISTS', KEYS[4], 'settled') == 0 then return -1 end
local state, token = redis.call('HGET', KEYS[1], 'state') or '', redis.call('HGET', KEYS[1], 'token') or '0'
local legal = false
for i = 10, #ARGV do legal = legal or ARGV[i] == state end
if not legal or (ARGV[3] ~= '' and ARGV[3] ~= token) then
  return false
end
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local since = now - (redis.call('HGET', KEYS[1], 'at') or now)
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'job', ARGV[4]) end
if ARGV[2] == 'started' then token = redis.call('HINCRBY', KEYS[1], 'token', 1) end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'at', string.format('%.6f', now), 'reason', ARGV[6])
end
if ARGV[2] == 'accepted' then
  redis.call('HSET', KEYS[1], 'submitter', ARGV[7])
  redis.call('HINCRBY', KEYS[3], ARGV[7], 1)
elseif ARGV[2] == 'completed' or ARGV[2] == 'failed' or ARGV[2] == 'cancelled' or ARGV[2] == 'deleted' then
  local submitter = redis.call('HGET', KEYS[1], 'submitter')
  if submitter and redis.call('HINCRBY', KEYS[3], submitter, -1) <= 0 then redis.call('HDEL', KEYS[3], submitter) end
  redis.call('HDEL', KEYS[1], 'submitter')
end
if ARGV[2] == 'deleted' then redis.call('HDEL', KEYS[1], 'job', 'held') end
local approval = redis.call('HGET', KEYS[4], 'approval') or ARGV[8]
local held = redis.call('HGET', KEYS[1], 'held')
if approval == 'true' and not held and ARGV[2] ~= 'deleted' then
  redis.call('HSET', KEYS[1], 'held', '1')
  held = '1'
end
local entry = {'event', ARGV[1]}
if held == '1' then entry = {'event', ARGV[1], 'held', '1'} end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', unpack(entry))
return {tonumber(token), tostring(since), held == '1' and 1 or 0}
"""

#: Hold a dream back, or let it be seen. KEYS: job, stream. ARGV: event, held, length of the stream. Answers whether.
_STAND = """
if redis.call('HGET', KEYS[1], 'state') == 'deleted' then return 0 end
redis.call('HSET', KEYS[1], 'held', ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'event', ARGV[1])
return 1
"""


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
        self._approval = approval
        self._settle = settle
        self._move = client.register_script(_MOVE)
        self._stand = client.register_script(_STAND)

    def accept(self, job: Job) -> bool:
        """Enter a job, or one that failed or was cancelled again; False where it is already on its way or done.

        From here on the broker knows how it is steered: one that forgets that forgets the job.
        """
        event = Accepted(job_id=job.id, photo_id=job.photo_id, title=job.recipe.title, lane=job.lane)
        return self._to(State.ACCEPTED, job.id, event, job=job) is not None

    def reserve(self, job_id: str) -> bool:
        """Claim the right to put a job's message into its lane, for RESERVED seconds; False where another has it."""
        return bool(self._client.set(_reservation(job_id), 1, nx=True, ex=RESERVED))

    def release(self, job_id: str) -> None:
        """Give that right back."""
        self._client.delete(_reservation(job_id))

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
        return Claim(job, *moved)

    def progress(self, claim: Claim, frame: str, fraction: float) -> bool:
        """Announce a frame; False where the claim is void."""
        event = Progress(job_id=claim.job.id, photo_id=claim.job.photo_id, frame=frame, fraction=fraction)
        return self._to(None, claim.job.id, event, token=claim.token) is not None

    def complete(self, claim: Claim, event: Completed) -> Standing | None:
        """End a job with its dream, and append that event; None where the claim is void.

        Returns whether the dream may be seen.
        """
        moved = self._to(State.COMPLETED, claim.job.id, event, token=claim.token)
        return moved and moved[2]

    def fail(self, claim: Claim, reason: str) -> bool:
        """End a job with a reason; False where the claim is void."""
        event = Failed(job_id=claim.job.id, photo_id=claim.job.photo_id, reason=reason)
        return self._to(State.FAILED, claim.job.id, event, token=claim.token) is not None

    def cancel(self, job_id: str) -> bool:
        """End a job before it has its dream; False where it has ended already, or is unknown. Voids every claim."""
        job = self.job(job_id)
        return (
            job is not None
            and self._to(State.CANCELLED, job_id, Cancelled(job_id=job_id, photo_id=job.photo_id)) is not None
        )

    def delete(self, job_id: str, photo_id: str) -> bool:
        """End a job for good, in whatever state it is, known here or not; False where that was done before."""
        return self._to(State.DELETED, job_id, Deleted(job_id=job_id, photo_id=photo_id)) is not None

    def show(self, event: Shown) -> bool:
        """Let everybody see a dream from now on; False for a deleted one."""
        return self._to_stand(event, held=False)

    def hide(self, event: Hidden) -> bool:
        """Let nobody see a dream from now on; False for a deleted one."""
        return self._to_stand(event, held=True)

    def remind(self, job_ids: Sequence[str]) -> None:
        """Tell a broker that lost its memory of dreams that nobody may see, should their photos come again."""
        for start in range(0, len(job_ids), CHUNK):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + CHUNK]:
                pipeline.hsetnx(_key(job_id), "held", "1")
            pipeline.execute()

    def held(self, job_ids: Sequence[str]) -> list[bool]:
        """Tell which jobs are held or hidden, deleted, or not completed yet: nobody may see what is in the store."""
        found = []
        for start in range(0, len(job_ids), CHUNK):
            pipeline = self._client.pipeline(transaction=False)
            for job_id in job_ids[start : start + CHUNK]:
                pipeline.hmget(_key(job_id), "state", "held")
            found += [held == "1" or state not in (None, State.COMPLETED) for state, held in pipeline.execute()]
        return found

    def underway(self, submitter: str) -> int:
        """Return how many jobs of a submitter are accepted and have not ended."""
        return int(cast("str | None", self._client.hget(UNDERWAY, submitter)) or 0)

    def entry(self, job_id: str) -> Entry | None:
        """Return what is known of a job; None for an unknown one."""
        return self._entries([_key(job_id)])[0]

    def entries(self) -> Iterator[Entry]:
        """Go through all jobs, in no order; what is entered meanwhile may be missing."""
        keys: list[str] = []
        for key in self._client.scan_iter(_key("*"), count=CHUNK):
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
                pipeline.hget(_key(job_id), "state")
            found += pipeline.execute()
        return [State(state) if state else None for state in found]

    def state(self, job_id: str) -> State | None:
        """Return where a job is; None for an unknown one."""
        state = cast("str | None", self._client.hget(_key(job_id), "state"))
        return State(state) if state else None

    def job(self, job_id: str) -> Job | None:
        """Return a job as it was accepted; None for an unknown one, and for what is none."""
        text = cast("str | None", self._client.hget(_key(job_id), "job"))
        try:
            return Job.model_validate_json(text) if text else None
        except ValidationError:
            return None

    def written(self, job_id: str, longest: int) -> str | None:
        """Return what is written of a job, whatever it is; as many spaces as `longest` for more than that."""
        if self._client.hstrlen(_key(job_id), "job") > longest:
            return " " * longest
        return cast("str | None", self._client.hget(_key(job_id), "job"))

    def reject(self, job_id: str, reason: str) -> bool:
        """End what cannot be dreamt, with a reason; False where it has ended already."""
        waiting = (State.ACCEPTED, State.QUEUED, State.STARTED)
        return (
            self._to(State.FAILED, job_id, Failed(job_id=job_id, photo_id="", reason=reason), before=waiting)
            is not None
        )

    def _to(
        self,
        state: State | None,
        job_id: str,
        event: Event,
        *,
        job: Job | None = None,
        token: int | None = None,
        before: Sequence[State] = (),
    ) -> tuple[int, float, Standing] | None:
        """Make one transition; None keeps the state of a started job.

        Returns token, seconds since the last transition, and whether the job's dream may be seen.
        """
        settle = self._settle if state is State.ACCEPTED else None
        arguments = [
            event.model_dump_json(),
            state or "",
            "" if token is None else token,
            job.model_dump_json() if job else "",
            STREAM_LENGTH,
            event.reason if isinstance(event, Failed) else "",
            job.submitter if job else "",
            "true" if self._approval else "false",
            "1" if settle else "",
            *(before or (LEGAL[state] if state else (State.STARTED,))),
        ]
        keys = [_key(job_id), STREAM, UNDERWAY, STEERING]
        while (answer := self._move(keys=keys, args=arguments)) == -1 and settle:
            settle()
        if answer is None:
            return None
        new_token, since, held = cast("tuple[int, str, int]", answer)
        return new_token, float(since), Standing.HELD if held else Standing.SHOWN

    def _to_stand(self, event: Shown | Hidden, *, held: bool) -> bool:
        told = event.model_dump_json()
        return bool(self._stand(keys=[_key(event.job_id), STREAM], args=[told, int(held), STREAM_LENGTH]))

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


def _reservation(job_id: str) -> str:
    return f"{PREFIX}queueing:{job_id}"


def _key(job_id: str) -> str:
    return f"{PREFIX}job:{job_id}"
