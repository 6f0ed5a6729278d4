"""Rejections: what came over the broker as a job and was none, counted by reason."""

from enum import StrEnum
from typing import cast

import redis

from shared.broker.client import PREFIX

#: Reason → how often. Holds no other fields than the reasons below, so it never grows.
REJECTED = f"{PREFIX}rejected"


class Rejection(StrEnum):
    """Why; goes on where “a message” or “a job” stops."""

    NO_JSON = "is not JSON"
    LARGE = "is too large"
    TYPE = "is of a type other than JSON"
    TASK = "names another task than a dream"
    ARGUMENTS = "carries something other than one job id"
    EXTRAS = "asks for more than to be dreamt now"
    SHAPE = "is no message of a queue"
    DELIVERY = "was handed out and cannot be read any more"
    UNREADABLE = "cannot be read: another version of ArtDream made it"
    IMPOSTOR = "is not the one that its id stands for"
    NETWORK = "names a network outside this installation"


def count_rejection(client: redis.Redis, reason: Rejection) -> None:
    """Count one. Raises RedisError."""
    client.hincrby(REJECTED, reason, 1)


def rejections(client: redis.Redis) -> dict[Rejection, int]:
    """Return how often each reason was met, where it was at all. Raises RedisError."""
    counts = cast("list[str | None]", client.hmget(REJECTED, list(Rejection)))
    return {reason: int(count) for reason, count in zip(Rejection, counts, strict=True) if count and count.isdecimal()}


def told(counts: dict[Rejection, int]) -> str:
    """Say in a line what was rejected."""
    return ", ".join(f"{count} × {reason}" for reason, count in counts.items())
