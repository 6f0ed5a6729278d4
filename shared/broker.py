"""The connection to Redis or Valkey."""

from typing import Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

#: Everything that ArtDream keeps in Redis begins with this.
PREFIX = "artdream:"

#: What a client raises while the broker is away; it may be tried again.
AWAY = (RedisConnectionError, RedisTimeoutError, redis.exceptions.BusyLoadingError)

#: What a client raises where the broker is there, and does not let it.
BARRED = (AuthenticationError, NoPermissionError)

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


def connect(url: str, **options: Any) -> "redis.Redis":
    """Return a client of the broker. It connects at the first command and retries once on a dropped connection.

    options: of redis-py, where they differ from the usual ones.
    """
    return redis.Redis.from_url(url, retry=Retry(ExponentialBackoff(cap=0.5), 1), **_OPTIONS | options)


def connect_async(url: str) -> "redis.asyncio.Redis":
    """Return an asyncio client of the broker. It raises at once when the broker is away; its caller tries again."""
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), **_OPTIONS)


def refusal(error: Exception) -> str | None:
    """Return in one sentence why no further try would help, and what would; None where it may: the broker is away."""
    text = str(error)
    if isinstance(error, AuthenticationError):
        return (
            f"The broker does not let this user in ({text.rstrip('.')}): "
            "are user and password in ARTDREAM_BROKER_URL right?"
        )
    if isinstance(error, NoPermissionError):
        return (
            f"The broker forbids what ArtDream needs ({text.rstrip('.')}): "
            "give its user the permissions that SECURITY.md lists."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = text.partition("verify failed: ")[2].partition(" (_ssl")[0].rstrip(".")
        if "not valid for" in why:
            return (
                f"The broker's certificate is another host's ({why}): "
                "let ARTDREAM_BROKER_URL name the host that it was made for."
            )
        return (
            f"The broker's certificate is not trusted ({why}): "
            "name the file of the authority that issued it in ARTDREAM_BROKER_CA."
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "The broker does not speak TLS on that port: is ARTDREAM_BROKER_URL right?"
    return None
