"""Transitions: the steps that a job may take, each of them one script that the broker runs whole or not at all."""

import json
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple, cast

import redis

from shared.broker.client import PREFIX
from shared.jobs.events import STREAM, STREAM_LENGTH, Event
from shared.jobs.job import State
from shared.runtime_settings import STEERING
from shared.storage.sidecar import Standing

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

#: Jobs that nobody holds, accepted or queued, by the time of their last step; jobs that are dreamt, by when their
#: lease ends.
UNHELD, LEASES = f"{PREFIX}unheld", f"{PREFIX}leases"

#: When somebody last looked for lapsed leases.
LOOKED = f"{PREFIX}looked"

#: Seconds that a worker holds a job without a word, and seconds between two words. The shorter, the sooner a dead
#: worker's job goes to the next; a worker that is silent for longer loses a dream that it might have finished.
LEASE, RENEW_EVERY = 10.0, 2.5

#: Seconds without a look after which workers are given time to renew their leases, and how long.
BLIND, PATIENCE = 6.0, 2 * RENEW_EVERY

#: How often a job may be started: one that takes its worker with it each time must not go on for ever.
TRIES = 3

#: Seconds that the broker remembers a job that has ended; the sidecar in the store tells of it for good.
REMEMBERED = 7 * 86_400


class Outcome(StrEnum):
    """What became of a step: it was taken, or why it was not."""

    MOVED = "moved"
    ILLEGAL = "illegal"
    HELD = "held"
    WORN = "worn"
    UNSETTLED = "unsettled"
    UNQUEUED = "unqueued"
    RESERVED = "reserved"


class Answer(NamedTuple):
    """How a job is after a step was taken, or was not."""

    outcome: Outcome
    #: Of its last claim.
    token: int
    #: Seconds between its last step and this one, by the broker's clock.
    since: float
    standing: Standing
    #: Who held it before.
    holder: str
    #: The submitter's jobs on their way, where one was named.
    underway: int


class Transitions:
    """The scripts, on one connection."""

    def __init__(self, client: redis.Redis, *, approval: bool) -> None:
        """approval: whether dreams wait for the operator where nobody has steered that yet."""
        self._client = client
        self._approval = "true" if approval else "false"
        scripts = ("transition", "set_visibility", "expired_leases", "restore")
        self._move, self._stand, self._lapsed, self._remember = (client.register_script(_lua(name)) for name in scripts)

    def take(
        self, job_id: str, to: State | None, event: Event | None, *, since: tuple[str, ...] = (), **asked: object
    ) -> Answer:
        """Take one step, if it is legal; None keeps a started job in its state. Raises RedisError.

        since: the states before, where they are not those of LEGAL. asked: what `transition.lua` knows besides; None is
        nothing asked.
        """
        ask = {
            "id": job_id,
            "to": to,
            "from": since or (LEGAL[to] if to else (State.STARTED,)),
            "length": STREAM_LENGTH,
            "approval": self._approval,
            "lease": LEASE,
            "keep": REMEMBERED,
            **asked,
        }
        keys = [key_of(job_id), STREAM, UNDERWAY, STEERING, UNHELD, LEASES]
        wanted = json.dumps({name: value for name, value in ask.items() if value is not None})
        answer = self._move(keys=keys, args=[wanted, event.model_dump_json() if event else ""])
        word, token, seconds, hidden, holder, count = cast("tuple[str, int, str, int, str, int]", answer)
        standing = Standing.HELD if hidden else Standing.SHOWN
        return Answer(Outcome(word), token, float(seconds), standing, holder, count)

    def stand(self, event: Event, job_id: str, *, held: bool) -> bool:
        """Hold a dream back or let it be seen; False for a deleted one. Raises RedisError."""
        told = event.model_dump_json()
        return bool(self._stand(keys=[key_of(job_id), STREAM], args=[told, int(held), STREAM_LENGTH, REMEMBERED]))

    def remember(self, job_id: str, state: State, job: str, *, held: bool) -> bool:
        """Enter a job that has ended where the broker knows nothing of it; False where it does. Raises RedisError."""
        return bool(self._remember(keys=[key_of(job_id)], args=[state, job, int(held), REMEMBERED]))

    def lapsed(self) -> list[str]:
        """Name some jobs whose workers were silent for too long, those first that are so longest. Raises RedisError."""
        return cast("list[str]", self._lapsed(keys=[LEASES, LOOKED], args=[BLIND, PATIENCE]))


def key_of(job_id: str) -> str:
    """Return where the broker keeps a job."""
    return f"{PREFIX}job:{job_id}"


def _lua(name: str) -> str:
    return files("shared.jobs").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
