"""Clients of the broker, Redis or Valkey: connections, their options, and explanations of permanent errors."""

from typing import Any, cast

import redis
import redis.asyncio
from redis._parsers.base import BaseParser
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.errors import ArtDreamError


class UnblockedError(ResponseError):
    """The broker became a replica while it was being waited for."""


class PersistenceError(ResponseError):
    """The broker takes no writes because it cannot save them."""


# redis-py makes plain ResponseErrors of these, as of a wrong command. It has no public hook that all its clients and
# pipelines share; tests/shared/broker/test_client.py notices if this one goes.
BaseParser.EXCEPTION_CLASSES.update({"UNBLOCKED": UnblockedError, "MISCONF": PersistenceError})

#: Exceptions of a client while the broker is unavailable, or takes no writes; a retry may succeed.
BROKER_UNAVAILABLE = (
    RedisConnectionError,
    RedisTimeoutError,
    BusyLoadingError,
    MasterDownError,
    OutOfMemoryError,
    PersistenceError,
    ReadOnlyError,
    UnblockedError,
)

#: Exceptions of a broker that answers → its state, and what to do.
_BROKER_STATES: dict[type[Exception], str] = {
    BusyLoadingError: "The broker is still loading its data: wait for it.",
    MasterDownError: "The broker is a replica that has lost its primary: make it the primary, or start that one.",
    OutOfMemoryError: "The broker's memory is full: raise its maxmemory.",
    PersistenceError: "The broker takes nothing because it cannot save it: is its disk full?",
    ReadOnlyError: "The broker is a replica, which takes nothing: let ARTDREAM_BROKER_URL lead to the primary.",
    UnblockedError: "The broker has just become a replica: let ARTDREAM_BROKER_URL lead to the primary.",
}

#: Exceptions of a client if the broker is available but denies access.
BROKER_ACCESS_DENIED = (AuthenticationError, NoPermissionError)

#: Exceptions that a running component waits out: it had access when it started, and an operator may give it back.
BROKER_OUTAGE = (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED)

#: Seconds without a reply after which a connection is considered dead. Longer than any blocking read.
SOCKET_TIMEOUT_SECONDS = 15

#: Seconds to establish a connection.
CONNECT_TIMEOUT_SECONDS = 5

#: Words by which OpenSSL says that nobody whom this machine trusts has issued a certificate.
_UNKNOWN_AUTHORITY = ("issuer certificate", "self-signed", "self signed", "first certificate", "signature failure")

_CONNECTION_OPTIONS: dict[str, Any] = {
    "decode_responses": True,
    # Invalid UTF-8 in one entry must not stop a reader of the stream.
    "encoding_errors": "replace",
    "socket_keepalive": True,
    "health_check_interval": 10,
}

_NETWORK_ONLY_OPTIONS = ("socket_keepalive", "socket_connect_timeout")


def connect(url: str, *, timeout: float = SOCKET_TIMEOUT_SECONDS) -> "redis.Redis":
    """Return a client of the broker. It connects at the first command and retries once on a dropped connection.

    timeout: seconds without a reply after which a connection is considered dead; longer than any blocking read.
    """
    return redis.Redis.from_url(
        url, retry=Retry(ExponentialBackoff(cap=0.5), 1), **_build_connection_options(url, timeout)
    )


def require_noeviction(client: "redis.Redis") -> None:
    """Raise ArtDreamError if the broker may evict keys when its memory is full. Raises RedisError."""
    policy = cast("dict[str, str]", client.info("memory"))["maxmemory_policy"]
    if policy != "noeviction":
        raise ArtDreamError(
            f"The broker's maxmemory-policy is {policy}: set it to noeviction, or waiting jobs may vanish."
        )


def connect_async(url: str) -> "redis.asyncio.Redis":
    """Return an asyncio client of the broker. It never retries: if the broker is unavailable, its caller must."""
    return redis.asyncio.Redis.from_url(
        url, retry=AsyncRetry(NoBackoff(), 0), **_build_connection_options(url, SOCKET_TIMEOUT_SECONDS)
    )


def _build_connection_options(url: str, timeout: float) -> dict[str, Any]:
    """Return the connection options for a URL, without those that a Unix socket does not support."""
    unsupported = _NETWORK_ONLY_OPTIONS if url.startswith("unix://") else ()
    options = _CONNECTION_OPTIONS | {
        "socket_timeout": timeout,
        "socket_connect_timeout": min(CONNECT_TIMEOUT_SECONDS, timeout),
    }
    return {name: value for name, value in options.items() if name not in unsupported}


def describe_error(error: Exception) -> str:
    """Return a sentence about an expected error; if it is the broker's, in which state that is, and what to do."""
    if isinstance(error, ArtDreamError):
        return str(error)
    if (sentence := explain_permanent_error(error)) is not None:
        return sentence
    states = (state for kind, state in _BROKER_STATES.items() if isinstance(error, kind))
    cause = str(error).partition("\n")[0].rstrip(".")
    return next(states, f"The broker is unavailable: {cause}. Is it running, and is ARTDREAM_BROKER_URL correct?")


def explain_permanent_error(error: Exception) -> str | None:
    """Return a sentence that says why a retry cannot help and what to do; None if the broker is just unavailable."""
    text = str(error)
    if isinstance(error, AuthenticationError):
        return (
            f"The broker does not let this user in ({text.rstrip('.')}): "
            "are user and password in ARTDREAM_BROKER_URL correct?"
        )
    if isinstance(error, NoPermissionError):
        return (
            f"The broker forbids what ArtDream needs ({text.rstrip('.')}): "
            "give its user the permissions that docs/security.md lists."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        reason = text.partition("verify failed: ")[2].partition(" (_ssl")[0].rstrip(".")
        if "not valid for" in reason:
            return (
                f"The broker's certificate is another host's ({reason}): "
                "let ARTDREAM_BROKER_URL name the host that it was made for."
            )
        if "expired" in reason or "not yet valid" in reason:
            return (
                f"The broker's certificate is not valid today ({reason}): renew it, or set the clock of this machine."
            )
        if any(words in reason for words in _UNKNOWN_AUTHORITY):
            return (
                f"The broker's certificate is not trusted ({reason}): "
                "name the file of the authority that issued it in ARTDREAM_BROKER_CA."
            )
        return (
            f"The broker's certificate, or its authority's, is incomplete ({reason}): "
            "have it reissued with what RFC 5280 demands, as Python does from 3.13 on."
        )
    if "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text:
        return "The broker does not speak TLS on that port: is ARTDREAM_BROKER_URL correct?"
    return None
