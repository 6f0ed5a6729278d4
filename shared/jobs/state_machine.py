"""The state machine of jobs: allowed transitions, and the Lua scripts that apply each of them atomically."""

import json
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple, cast

import redis

from shared.jobs.events import STREAM_LENGTH, Event
from shared.jobs.job import State
from shared.monitoring.usage_counts import COUNTING_FUNCTIONS
from shared.redis_keys import (
    LAST_SWEEP,
    LEASES,
    LEFTOVERS,
    RUNTIME_SETTINGS_KEY,
    STREAM,
    UNCLAIMED,
    UNFINISHED_BY_SUBMITTER,
    USAGE_COUNTS_KEY,
    job_key,
)
from shared.storage.sidecar import Visibility
from shared.timing import Timing

#: State → the states that it may follow; "" is the state of an unknown job.
ALLOWED_PREDECESSORS: dict[State, tuple[str, ...]] = {
    State.ACCEPTED: ("", State.FAILED, State.CANCELLED),
    State.QUEUED: (State.ACCEPTED,),
    State.STARTED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.COMPLETED: (State.STARTED,),
    State.FAILED: (State.STARTED,),
    State.CANCELLED: (State.ACCEPTED, State.QUEUED, State.STARTED),
    State.DELETED: ("", *(state for state in State if state != State.DELETED)),
}

#: How often a job may be started: a job that kills its worker each time must not be retried forever.
MAX_ATTEMPTS = 3

#: How often a job may be handed back because of an error before it fails.
MAX_HAND_BACKS = 10

#: Seconds until the broker forgets a job that has ended; the sidecar in the store is permanent.
ENDED_JOB_TTL_SECONDS = 7 * 86_400


class Outcome(StrEnum):
    """Whether a transition was applied, or why not; `transition.lua` documents the values."""

    APPLIED = "moved"
    ILLEGAL = "illegal"
    CLAIMED = "held"
    ATTEMPTS_EXHAUSTED = "worn"
    UNINITIALIZED = "unsettled"
    QUEUED = "queued"


class TransitionResult(NamedTuple):
    """The outcome of a transition, and the job's record after it."""

    outcome: Outcome
    #: Fencing token of the latest claim.
    token: int
    #: Seconds between the previous transition and this one, by the broker's clock.
    seconds_since_transition: float
    visibility: Visibility
    #: Worker of the previous claim, "" if there is none.
    previous_holder: str
    #: How often the job was handed back because of an error.
    hand_backs: int
    #: Of a claim: how often the job was started, attempts that were released not counted.
    attempts: int


class QueueMessage(NamedTuple):
    """The message of a job, which gets its priority from the broker, as that knows the submitter's other jobs."""

    #: Keys of the lane's lists: the first is that of a submitter's first unfinished job, the last that of all the rest.
    lists: tuple[str, ...]
    #: Priority of the first list; each further one has the next number.
    first_priority: int
    #: Text before and after the number of the priority.
    head: str
    tail: str


class JobScripts:
    """The Lua scripts that change jobs, bound to a client."""

    def __init__(self, client: redis.Redis, timing: Timing, *, approval: bool) -> None:
        """approval: whether dreams need approval while the runtime settings do not say."""
        self._client = client
        self._timing = timing
        self._approval = "true" if approval else "false"
        scripts = ("transition", "set_visibility", "expired_leases", "restore")
        self._transition, self._set_visibility, self._expired_leases, self._restore = (
            client.register_script(read_script(name)) for name in scripts
        )

    def load(self) -> None:
        """Have the broker keep the script of transitions, so that the first one takes one round trip."""
        self._client.script_load(self._transition.script)

    def transition(
        self,
        job_id: str,
        new_state: State | None,
        event: Event | None,
        *,
        allowed_from: tuple[str, ...] = (),
        message: QueueMessage | None = None,
        queued_event: Event | None = None,
        **options: object,
    ) -> TransitionResult:
        """Apply one transition if it is allowed; with None, a started job keeps its state and renews its lease.

        allowed_from: states that the job may be in, instead of ALLOWED_PREDECESSORS. message, queued_event: an accepted
        job is queued in the same step. options: further keys of the request that `transition.lua` documents; those that
        are None are left out. Raises RedisError.
        """
        request = {
            "id": job_id,
            "new_state": new_state,
            "allowed_from": allowed_from or (ALLOWED_PREDECESSORS[new_state] if new_state else (State.STARTED,)),
            "stream_length": STREAM_LENGTH,
            "default_approval": self._approval,
            "lease_seconds": self._timing.lease_seconds,
            "ended_ttl_seconds": ENDED_JOB_TTL_SECONDS,
            "first_priority": message and message.first_priority,
            **options,
        }
        keys = [
            *(job_key(job_id), STREAM, UNFINISHED_BY_SUBMITTER, RUNTIME_SETTINGS_KEY),
            *(UNCLAIMED, LEASES, LEFTOVERS, USAGE_COUNTS_KEY),
            *(message.lists if message else ()),
        ]
        request_json = json.dumps({name: value for name, value in request.items() if value is not None})
        arguments = [request_json, event.model_dump_json() if event else ""]
        if message and queued_event:
            arguments += [message.head, message.tail, queued_event.model_dump_json()]
        result = self._transition(keys=keys, args=arguments)
        outcome, token, seconds, held, holder, *counts = cast("tuple[str, int, str, int, str, int, int]", result)
        visibility = Visibility.HELD if held else Visibility.SHOWN
        return TransitionResult(Outcome(outcome), token, float(seconds), visibility, holder, *counts)

    def set_visibility(self, event: Event, job_id: str, *, held: bool) -> bool:
        """Hide or show a dream and append the event; False if the dream was deleted. Raises RedisError.

        held: whether the dream is not visible from now on.
        """
        event_json = event.model_dump_json()
        return bool(
            self._set_visibility(
                keys=[job_key(job_id), STREAM, USAGE_COUNTS_KEY],
                args=[event_json, int(held), STREAM_LENGTH, ENDED_JOB_TTL_SECONDS],
            )
        )

    def restore(self, job_id: str, state: State, job: str, *, held: bool) -> bool:
        """Restore an ended job in a wiped broker; False if the broker knows the job. Raises RedisError.

        job: as JSON, "" for none. held: whether its dream is not visible.
        """
        return bool(self._restore(keys=[job_key(job_id)], args=[state, job, int(held), ENDED_JOB_TTL_SECONDS]))

    def list_expired_leases(self) -> list[str]:
        """Return ids of jobs whose lease has expired, at most 500, the longest expired first. Raises RedisError."""
        arguments = [self._timing.outage_after_seconds, self._timing.renewal_grace_seconds]
        return cast("list[str]", self._expired_leases(keys=[LEASES, LAST_SWEEP], args=arguments))


def read_script(name: str) -> str:
    """Return the text of a script, as the broker gets it."""
    return COUNTING_FUNCTIONS + files("shared.jobs").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
