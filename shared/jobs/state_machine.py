"""Transitions: the steps that a job may take, each of them one script that the broker runs whole or not at all."""

import json
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple, cast

import redis

from shared.broker.client import KEY_PREFIX
from shared.jobs.events import STREAM, STREAM_LENGTH, Event
from shared.jobs.job import State
from shared.runtime_settings import RUNTIME_SETTINGS_KEY
from shared.storage.sidecar import Visibility

#: The states that each state may follow. A new job has none.
ALLOWED_PREDECESSORS: dict[State, tuple[str, ...]] = {
    State.ACCEPTED: ("", State.FAILED, State.CANCELLED),
    State.QUEUED: (State.ACCEPTED,),
    State.STARTED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.COMPLETED: (State.STARTED,),
    State.FAILED: (State.STARTED,),
    State.CANCELLED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.DELETED: ("", *(state for state in State if state != State.DELETED)),
}

#: How many jobs of each submitter are on their way.
UNFINISHED_BY_SUBMITTER = f"{KEY_PREFIX}underway"

#: Jobs that nobody holds, accepted or queued, by the time of their last step; jobs that are dreamt, by when their
#: lease ends.
UNCLAIMED, LEASES = f"{KEY_PREFIX}unheld", f"{KEY_PREFIX}leases"

#: When somebody last looked for lapsed leases.
LAST_SWEEP = f"{KEY_PREFIX}looked"

#: Seconds that a worker holds a job without a word, and seconds between two words. The shorter, the sooner a dead
#: worker's job goes to the next; a worker that is silent for longer loses a dream that it might have finished.
LEASE_SECONDS, RENEW_INTERVAL_SECONDS = 10.0, 2.5

#: Seconds without a look after which workers are given time to renew their leases, and how long.
OUTAGE_AFTER_SECONDS, RENEWAL_GRACE_SECONDS = 6.0, 2 * RENEW_INTERVAL_SECONDS

#: How often a job may be started: one that takes its worker with it each time must not go on for ever.
MAX_ATTEMPTS = 3

#: Seconds that the broker remembers a job that has ended; the sidecar in the store tells of it for good.
ENDED_JOB_TTL_SECONDS = 7 * 86_400


class Outcome(StrEnum):
    """What became of a step: it was taken, or why it was not."""

    APPLIED = "moved"
    ILLEGAL = "illegal"
    CLAIMED = "held"
    ATTEMPTS_EXHAUSTED = "worn"
    UNINITIALIZED = "unsettled"
    UNQUEUED = "unqueued"
    RESERVED = "reserved"


class TransitionResult(NamedTuple):
    """How a job is after a step was taken, or was not."""

    outcome: Outcome
    #: Of its last claim.
    token: int
    #: Seconds between its last step and this one, by the broker's clock.
    seconds_since_transition: float
    visibility: Visibility
    #: Who held it before.
    previous_holder: str
    #: The submitter's jobs on their way, where one was named.
    unfinished_jobs: int


class JobScripts:
    """The scripts, on one connection."""

    def __init__(self, client: redis.Redis, *, approval: bool) -> None:
        """approval: whether dreams wait for the operator where nobody has steered that yet."""
        self._client = client
        self._approval = "true" if approval else "false"
        scripts = ("transition", "set_visibility", "expired_leases", "restore")
        self._transition, self._set_visibility, self._expired_leases, self._restore = (
            client.register_script(_read_script(name)) for name in scripts
        )

    def transition(
        self,
        job_id: str,
        new_state: State | None,
        event: Event | None,
        *,
        allowed_from: tuple[str, ...] = (),
        **options: object,
    ) -> TransitionResult:
        """Apply one transition if it is allowed; with None, a started job keeps its state and renews its lease.

        allowed_from: states that the job may be in, instead of ALLOWED_PREDECESSORS. options: further keys of the
        request that `transition.lua` documents; those that are None are left out. Raises RedisError.
        """
        request = {
            "id": job_id,
            "new_state": new_state,
            "allowed_from": allowed_from or (ALLOWED_PREDECESSORS[new_state] if new_state else (State.STARTED,)),
            "stream_length": STREAM_LENGTH,
            "default_approval": self._approval,
            "lease_seconds": LEASE_SECONDS,
            "ended_ttl_seconds": ENDED_JOB_TTL_SECONDS,
            **options,
        }
        keys = [job_key(job_id), STREAM, UNFINISHED_BY_SUBMITTER, RUNTIME_SETTINGS_KEY, UNCLAIMED, LEASES]
        request_json = json.dumps({name: value for name, value in request.items() if value is not None})
        result = self._transition(keys=keys, args=[request_json, event.model_dump_json() if event else ""])
        outcome, token, seconds, held, holder, unfinished = cast("tuple[str, int, str, int, str, int]", result)
        visibility = Visibility.HELD if held else Visibility.SHOWN
        return TransitionResult(Outcome(outcome), token, float(seconds), visibility, holder, unfinished)

    def set_visibility(self, event: Event, job_id: str, *, held: bool) -> bool:
        """Hold a dream back or let it be seen; False for a deleted one. Raises RedisError."""
        told = event.model_dump_json()
        return bool(
            self._set_visibility(
                keys=[job_key(job_id), STREAM], args=[told, int(held), STREAM_LENGTH, ENDED_JOB_TTL_SECONDS]
            )
        )

    def restore(self, job_id: str, state: State, job: str, *, held: bool) -> bool:
        """Enter a job that has ended where the broker knows nothing of it; False where it does. Raises RedisError."""
        return bool(self._restore(keys=[job_key(job_id)], args=[state, job, int(held), ENDED_JOB_TTL_SECONDS]))

    def list_expired_leases(self) -> list[str]:
        """Name some jobs whose workers were silent for too long, those first that are so longest. Raises RedisError."""
        return cast(
            "list[str]",
            self._expired_leases(keys=[LEASES, LAST_SWEEP], args=[OUTAGE_AFTER_SECONDS, RENEWAL_GRACE_SECONDS]),
        )


def job_key(job_id: str) -> str:
    """Return where the broker keeps a job."""
    return f"{KEY_PREFIX}job:{job_id}"


def _read_script(name: str) -> str:
    return files("shared.jobs").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
