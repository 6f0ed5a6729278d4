"""The connection to Redis or Valkey."""

from typing import Any, cast

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.errors import ArtDreamError

#: Everything that ArtDream keeps in Redis begins with this.
PREFIX = "artdream:"

#: What a client raises while the broker is away; it may be tried again.
AWAY = (RedisConnectionError, RedisTimeoutError, redis.exceptions.BusyLoadingError)

#: Seconds without an answer after which a connection counts as dead. Longer than any blocking read.
SOCKET_TIMEOUT = 15

_OPTIONS: dict[str, Any] = {
    "decode_responses": True,
    # Garbage in one entry must not stop a reader of the stream.
    "encoding_errors": "replace",
    "socket_keepalive": True,
    "socket_timeout": SOCKET_TIMEOUT,
    "socket_connect_timeout": 5,
    "health_check_interval": 10,
}


def connect(url: str) -> "redis.Redis":
    """Return a client of the broker. It connects at the first command and retries once on a dropped connection."""
    return redis.Redis.from_url(url, retry=Retry(ExponentialBackoff(cap=0.5), 1), **_OPTIONS)


def require_memory(client: "redis.Redis") -> None:
    """Raise ArtDreamError where the broker may drop what it keeps, to make room. Raises RedisError."""
    policy = cast("dict[str, str]", client.info("memory"))["maxmemory_policy"]
    if policy != "noeviction":
        raise ArtDreamError(
            f"The broker's maxmemory-policy is {policy}: set it to noeviction, or waiting jobs may vanish."
        )


def connect_async(url: str) -> "redis.asyncio.Redis":
    """Return an asyncio client of the broker. It raises at once when the broker is away; its caller tries again."""
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_OPTIONS)
