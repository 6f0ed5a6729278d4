"""Rejected messages: count, by reason, the messages and jobs from the broker that are not valid."""

from enum import StrEnum
from typing import cast

import redis

from shared.redis_keys import REJECTED_KEY


class RejectionReason(StrEnum):
    """Why something was rejected; completes a sentence that begins with “a message” or “a job”."""

    NOT_JSON = "is not JSON"
    TOO_LARGE = "is too large"
    WRONG_CONTENT_TYPE = "is of a type other than JSON"
    WRONG_TASK = "names another task than a dream"
    WRONG_ARGUMENTS = "carries something other than one job id"
    UNSUPPORTED_OPTIONS = "asks for more than to be dreamt now"
    MALFORMED_MESSAGE = "is no message of a queue"
    UNREADABLE_DELIVERY = "was handed out and cannot be read any more"
    UNREADABLE_JOB = "cannot be read: another version of ArtDream made it"
    ID_MISMATCH = "is not the one that its id stands for"
    NETWORK_NOT_ALLOWED = "names a network outside this installation"


def count_rejection(client: redis.Redis, reason: RejectionReason) -> None:
    """Count one rejection. Raises RedisError."""
    client.hincrby(REJECTED_KEY, reason, 1)


def read_rejection_counts(client: redis.Redis) -> dict[RejectionReason, int]:
    """Return the count of each reason that occurred at least once. Raises RedisError."""
    counts = cast("list[str | None]", client.hmget(REJECTED_KEY, list(RejectionReason)))
    return {
        reason: int(count) for reason, count in zip(RejectionReason, counts, strict=True) if count and count.isdecimal()
    }


def format_rejection_counts(counts: dict[RejectionReason, int]) -> str:
    """Return the counts as one line of text."""
    return ", ".join(f"{count} × {reason}" for reason, count in counts.items())
