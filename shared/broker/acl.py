"""Permissions: what the broker's user needs, no more, and whether it has them."""

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

#: The keys of ArtDream, and those that kombu keeps for its queues.
KEYS = ("artdream:*", "live*", "batch*", "unacked*", "_kombu.*")

#: A call of each command that is used. These do nothing,
_PLAIN = ("PING", "WATCH artdream:", "UNWATCH", "MULTI", "EXEC")

#: and these are only put into a transaction that never happens.
_CALLS = (
    *("BRPOP live 1", "LINDEX live 0", "LLEN live", "LPUSH live m", "LRANGE live 0 1", "LREM live -1 m"),
    "RPUSH live m",
    *("DEL artdream:", "GET artdream:", "MGET artdream:", "SCAN 0", "SET artdream: v"),
    *("EXPIRE artdream: 1", "PERSIST artdream:"),
    *("HDEL artdream: f", "HEXISTS artdream: f", "HGET artdream: f", "HGETALL artdream:", "HINCRBY artdream: f 1"),
    *("HMGET artdream: f", "HSET artdream: f v", "HSETNX artdream: f v", "HSTRLEN artdream: f"),
    *("SADD artdream: m", "SMEMBERS artdream:", "SREM artdream: m"),
    *("XADD artdream: * f v", "XREAD STREAMS artdream: 0", "XREVRANGE artdream: + -"),
    *("ZADD unacked_index 1 m", "ZRANGE unacked_index 0 1", "ZREM unacked_index m"),
    *("ZCOUNT artdream: 0 1", "ZSCORE artdream: m"),
    *("EVALSHA 0 0", "SCRIPT|LOAD return"),
    *("INFO server", "TIME"),
)

#: What is needed of commands, as ACL rules.
COMMANDS = tuple(sorted(f"+{call.split()[0].lower()}" for call in _PLAIN + _CALLS))


def acl() -> str:
    """Return the rules of a user that may do what ArtDream does, and nothing else."""
    return " ".join(["resetchannels", "resetkeys", *(f"~{key}" for key in KEYS), "-@all", *COMMANDS])


def missing(client: redis.Redis) -> list[str]:
    """Return the rules that the client's user lacks, after two round trips. Nothing is changed. Raises RedisError."""
    connection: Any = client.connection_pool.get_connection()
    try:
        lacking = _lacking(connection, _PLAIN)
        if not lacking:  # without MULTI the calls would be carried out
            calls = [*_CALLS, *(f"GET {key.rstrip('*')}" for key in KEYS)]
            lacking = _lacking(connection, ["MULTI", *calls])
    finally:
        connection.disconnect()  # and with it goes the transaction
        client.connection_pool.release(connection)
    return list(dict.fromkeys(lacking))


def _lacking(connection: Any, calls: Sequence[str]) -> list[str]:
    """Make calls, all at once; return the rules that they lack."""
    words = [call.split() for call in calls]
    connection.send_packed_command(connection.pack_commands([[*w[0].split("|"), *w[1:]] for w in words]))
    return [rule for name, *arguments in words if (rule := _rule(connection, name, arguments))]


def _rule(connection: Any, name: str, arguments: list[str]) -> str:
    """Read one answer; return the rule that the call lacks, or "" where it is allowed."""
    try:
        connection.read_response()
    except ResponseError as error:
        # EXEC answers with an error of its own kind; any other says that the call would make no sense.
        if "no permissions to access" in str(error):
            return next(f"~{key}" for key in KEYS if arguments[0].startswith(key.rstrip("*")))
        if isinstance(error, NoPermissionError) or "no permissions" in str(error):
            return f"+{name.lower()}"
    return ""
