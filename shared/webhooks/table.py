"""The delivery table: which messages wait for each webhook endpoint, and what became of the others."""

import time
from enum import StrEnum
from importlib.resources import files
from typing import Literal, NamedTuple, cast

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.redis_keys import WEBHOOK_POSITION_KEY, WEBHOOKS_RESTORED_KEY, webhook_keys

#: Messages that may wait for one endpoint, and finished ones by which a repeated event is known: more than the event
#: stream has. A message has about 250 bytes.
MAX_WAITING, MAX_FINISHED = 10_000, 60_000


class MessageType(StrEnum):
    """What a message says."""

    COMPLETED = "dream.completed"
    FAILED = "dream.failed"


class Message(BaseModel):
    """A message for an endpoint, without its content, which is read at each attempt."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: MessageType
    job_id: str
    #: When the event happened, in ISO 8601.
    timestamp: str
    #: Why the job failed.
    reason: str = ""
    #: Attempts that failed.
    attempts: int = 0
    #: Claims, of which the last one is valid: some ended without an outcome, as when the process was killed.
    claims: int = 0


class Outcome(StrEnum):
    """What became of an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    GIVEN_UP = "given_up"
    WITHDRAWN = "withdrawn"  # the dream is not visible any more


class Claimed(NamedTuple):
    """A message that this process may try to deliver."""

    id: str
    message: Message


class DeliveryCounts(BaseModel):
    """What became of the messages of an endpoint since the broker was last wiped."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    waiting: int = 0
    delivered: int = 0
    given_up: int = 0
    #: The last error, "" if there was none, and when, in epoch seconds.
    error: str = ""
    error_at: float = 0.0
    #: When the last message was delivered, in epoch seconds.
    delivered_at: float = 0.0


class DeliveryTable:
    """The messages of every endpoint, in Redis. Each change is atomic. All methods raise RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._enqueue, self._claim, self._finish = (
            client.register_script(files("shared.webhooks").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8"))
            for name in ("enqueue", "claim", "finish")
        )

    def enqueue(self, endpoint_id: str, message_id: str, message: Message, delay: float) -> Literal[1, 0, -1]:
        """Queue a message: 1; 0 if it waits or was delivered or given up; -1 if MAX_WAITING wait, and it is given up.

        delay: seconds until its first attempt.
        """
        arguments: list[str | float] = [message_id, message.model_dump_json(), delay, MAX_WAITING]
        return cast("Literal[1, 0, -1]", self._enqueue(keys=webhook_keys(endpoint_id), args=arguments))

    def claim(self, endpoint_id: str, seconds: float) -> Claimed | None:
        """Claim the message that is due the longest; None if none is due, or a newer version has written it.

        seconds: after which another process may claim it if this one has recorded no outcome.
        """
        claimed = cast("list[str]", self._claim(keys=webhook_keys(endpoint_id)[:2], args=[seconds]))
        try:
            return Claimed(claimed[0], Message.model_validate_json(claimed[1])) if claimed else None
        except ValidationError:
            return None  # a deliverer of that version claims it later

    def finish(
        self, endpoint_id: str, claimed: Claimed, outcome: Outcome, *, retry_seconds: float = 0.0, error: str = ""
    ) -> bool:
        """Record the outcome of an attempt; False if another process has claimed the message since.

        A delivery is recorded in any case. retry_seconds: until the next attempt.
        """
        arguments: list[str | float] = [claimed.id, claimed.message.claims, outcome, retry_seconds, error, MAX_FINISHED]
        return bool(self._finish(keys=webhook_keys(endpoint_id), args=arguments))

    def count(self, endpoint_id: str) -> DeliveryCounts:
        """Return what became of the messages of an endpoint."""
        queue, _, _, counts = webhook_keys(endpoint_id)
        fields = cast("dict[str, str]", self._client.hgetall(counts))
        return DeliveryCounts.model_validate(fields | {"waiting": self._client.zcount(queue, "-inf", "+inf")})

    def note_error(self, endpoint_id: str, error: str) -> None:
        """Record an error because of which nothing is tried."""
        self._client.hset(webhook_keys(endpoint_id)[3], mapping={"error": error, "error_at": time.time()})

    def forget_waiting(self, endpoint_id: str) -> None:
        """Forget the messages that wait for an endpoint."""
        self._client.delete(*webhook_keys(endpoint_id)[:2])

    def forget(self, endpoint_id: str) -> None:
        """Forget everything of an endpoint."""
        self._client.delete(*webhook_keys(endpoint_id))

    def get_position(self) -> str | None:
        """Return the id of the last event whose messages are queued; None if there is none."""
        return cast("str | None", self._client.get(WEBHOOK_POSITION_KEY))

    def set_position(self, entry_id: str) -> None:
        """Record the id of the last event whose messages are queued."""
        self._client.set(WEBHOOK_POSITION_KEY, entry_id)

    def is_restored(self) -> bool:
        """Return whether `mark_restored` was called since the broker was wiped."""
        return self._client.get(WEBHOOKS_RESTORED_KEY) is not None

    def mark_restored(self) -> None:
        """Record that the broker has the messages of all visible dreams of the store."""
        self._client.set(WEBHOOKS_RESTORED_KEY, 1)
