"""A broker that answers and yet takes nothing is unavailable, and its state is said in a sentence."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest
import redis

from shared.broker.client import (
    BROKER_UNAVAILABLE,
    PersistenceError,
    UnblockedError,
    connect,
    connect_async,
    describe_error,
)
from shared.errors import ArtDreamError


def make_replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", 1)
    client.set("artdream:x", 1)


def fill_memory(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    client.set("artdream:x", 1)


def reply_with(error: str) -> Callable[[redis.Redis], object]:
    """Return an action to which the broker replies with an error."""
    return lambda client: client.eval(f"return redis.error_reply('{error}')", 0)


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (make_replica, "The broker is a replica, which takes nothing: let ARTDREAM_BROKER_URL lead to the primary."),
        (fill_memory, "The broker's memory is full: raise its maxmemory."),
        (reply_with("MISCONF Errors writing to the AOF file"), "The broker takes nothing because it cannot save it: "),
        (reply_with("UNBLOCKED force unblock from blocking operation"), "The broker has just become a replica: "),
        (reply_with("LOADING Valkey is loading the dataset in memory"), "The broker is still loading its data: "),
        (reply_with("MASTERDOWN Link with MASTER is down"), "The broker is a replica that has lost its primary: "),
    ],
)
def test_the_state_of_a_broker_that_takes_nothing_is_said(
    client: redis.Redis, action: Callable[[redis.Redis], object], sentence: str
) -> None:
    try:
        with pytest.raises(BROKER_UNAVAILABLE) as raised:
            action(client)
        assert describe_error(raised.value).startswith(sentence)
    finally:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 0)


def run_in_pipeline(client: redis.Redis, script: str, *, transaction: bool) -> None:
    pipeline = client.pipeline(transaction=transaction)
    pipeline.eval(script, 0)
    pipeline.execute()


async def run_async(client: redis.Redis, script: str) -> None:
    options = client.get_connection_kwargs()
    async with connect_async(f"redis://{options['host']}:{options['port']}/{options['db']}") as async_client:
        await async_client.eval(script, 0)


@pytest.mark.parametrize(("code", "error"), [("MISCONF", PersistenceError), ("UNBLOCKED", UnblockedError)])
@pytest.mark.parametrize(
    "run",
    [
        partial(run_in_pipeline, transaction=False),
        partial(run_in_pipeline, transaction=True),
        lambda client, script: asyncio.run(run_async(client, script)),
    ],
    ids=["pipeline", "transaction", "asyncio"],
)
def test_every_client_knows_the_states_that_redis_py_does_not(
    client: redis.Redis, code: str, error: type[Exception], run: Callable[[redis.Redis, str], None]
) -> None:
    """`redis._parsers.base.BaseParser.EXCEPTION_CLASSES`, which redis-py does not document.

    Otherwise the error is taken for that of a wrong command, and a failover ends whatever waits for the broker.
    """
    with pytest.raises(error):
        run(client, f"return redis.error_reply('{code} for a moment')")


def test_a_broker_that_is_not_there_is_said_to_be_away() -> None:
    with pytest.raises(BROKER_UNAVAILABLE) as raised:
        connect("redis://127.0.0.1:1/0").ping()
    assert describe_error(raised.value).startswith("The broker is unavailable: ")


def test_what_is_said_already_stays_as_it_is() -> None:
    assert describe_error(ArtDreamError("The photo is damaged.")) == "The photo is damaged."


def test_a_wrong_command_is_no_state_of_the_broker(client: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError) as raised:
        client.execute_command("NOSUCHCOMMAND")
    assert not isinstance(raised.value, BROKER_UNAVAILABLE)
