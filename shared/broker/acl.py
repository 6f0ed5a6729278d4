"""Permissions: what the broker's user needs, no more, and whether it has them."""

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

#: The keys of ArtDream, and those that kombu keeps for its queues.
KEY_PATTERNS = ("artdream:*", "live*", "batch*", "unacked*", "_kombu.*")

#: A call of each command that is used. These do nothing,
_HARMLESS_CALLS = ("PING", "WATCH artdream:", "UNWATCH", "MULTI", "EXEC")

#: and these are only put into a transaction that never happens.
_TRANSACTION_CALLS = (
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
COMMAND_RULES = tuple(sorted(f"+{call.split()[0].lower()}" for call in _HARMLESS_CALLS + _TRANSACTION_CALLS))


def build_acl_rules() -> str:
    """Return the rules of a user that may do what ArtDream does, and nothing else."""
    return " ".join(["resetchannels", "resetkeys", *(f"~{key}" for key in KEY_PATTERNS), "-@all", *COMMAND_RULES])


def find_missing_rules(client: redis.Redis) -> list[str]:
    """Return the rules that the client's user lacks, after two round trips. Nothing is changed. Raises RedisError."""
    connection: Any = client.connection_pool.get_connection()
    try:
        lacking = _probe_calls(connection, _HARMLESS_CALLS)
        if not lacking:  # without MULTI the calls would be carried out
            calls = [*_TRANSACTION_CALLS, *(f"GET {key.rstrip('*')}" for key in KEY_PATTERNS)]
            lacking = _probe_calls(connection, ["MULTI", *calls])
    finally:
        connection.disconnect()  # and with it goes the transaction
        client.connection_pool.release(connection)
    return list(dict.fromkeys(lacking))


def _probe_calls(connection: Any, calls: Sequence[str]) -> list[str]:
    """Make calls, all at once; return the rules that they lack."""
    words = [call.split() for call in calls]
    connection.send_packed_command(connection.pack_commands([[*w[0].split("|"), *w[1:]] for w in words]))
    return [rule for name, *arguments in words if (rule := _read_missing_rule(connection, name, arguments))]


def _read_missing_rule(connection: Any, command: str, arguments: list[str]) -> str:
    """Read one answer; return the rule that the call lacks, or "" where it is allowed."""
    try:
        connection.read_response()
    except ResponseError as error:
        # EXEC answers with an error of its own kind; any other says that the call would make no sense.
        if "no permissions to access" in str(error):
            return next(f"~{key}" for key in KEY_PATTERNS if arguments[0].startswith(key.rstrip("*")))
        if isinstance(error, NoPermissionError) or "no permissions" in str(error):
            return f"+{command.lower()}"
    return ""
