"""ACL: the least permissions that the broker's user needs, and a check of whether it has them."""

from collections.abc import Sequence
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

#: Key patterns of ArtDream, and of kombu's queues.
KEY_PATTERNS = ("artdream:*", "live*", "batch*", "unacked*", "_kombu.*")

#: One call of each command that ArtDream uses. These calls have no effect.
_HARMLESS_CALLS = ("PING", "WATCH artdream:", "UNWATCH", "MULTI", "EXEC")

#: These calls are only queued in a transaction that is never executed.
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

#: The commands that are needed, as ACL rules.
COMMAND_RULES = tuple(sorted(f"+{call.split()[0].lower()}" for call in _HARMLESS_CALLS + _TRANSACTION_CALLS))


def build_acl_rules() -> str:
    """Return the ACL rules of a user with exactly the permissions that ArtDream needs."""
    return " ".join(["resetchannels", "resetkeys", *(f"~{key}" for key in KEY_PATTERNS), "-@all", *COMMAND_RULES])


def find_missing_rules(client: redis.Redis) -> list[str]:
    """Return the ACL rules that the client's user is missing, in two round trips and without any change.

    If one of the harmless calls is forbidden, only those are reported. Raises RedisError.
    """
    connection: Any = client.connection_pool.get_connection()
    try:
        missing = _probe_calls(connection, _HARMLESS_CALLS)
        if not missing:  # without MULTI the calls would be executed
            calls = [*_TRANSACTION_CALLS, *(f"GET {key.rstrip('*')}" for key in KEY_PATTERNS)]
            missing = _probe_calls(connection, ["MULTI", *calls])
    finally:
        connection.disconnect()  # discards the transaction
        client.connection_pool.release(connection)
    return list(dict.fromkeys(missing))


def _probe_calls(connection: Any, calls: Sequence[str]) -> list[str]:
    """Send all calls at once; return the ACL rules that are missing for them."""
    words = [call.split() for call in calls]
    connection.send_packed_command(connection.pack_commands([[*w[0].split("|"), *w[1:]] for w in words]))
    return [rule for name, *arguments in words if (rule := _read_missing_rule(connection, name, arguments))]


def _read_missing_rule(connection: Any, command: str, arguments: list[str]) -> str:
    """Read one reply; return the ACL rule that is missing for the call, or "" if it is allowed."""
    try:
        connection.read_response()
    except ResponseError as error:
        # Other errors, such as that of EXEC without MULTI, mean that the call is allowed.
        if "no permissions to access" in str(error):
            return next(f"~{key}" for key in KEY_PATTERNS if arguments[0].startswith(key.rstrip("*")))
        if isinstance(error, NoPermissionError) or "no permissions" in str(error):
            return f"+{command.lower()}"
    return ""
