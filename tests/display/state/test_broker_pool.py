"""The display's connections to the broker last: it opens none for each heartbeat, and new ones when it has to."""

import asyncio

import pytest
import redis

from display.media.pictures import Pictures
from display.state import housekeeping
from display.state.event_hub import EventHub
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.redis_keys import RUNTIME_SETTINGS_KEY
from shared.settings import Settings
from tests.servers import Valkey
from tests.waiting import wait_until


def _count_calls(client: redis.Redis, command: str) -> int:
    """Return how often a command was called."""
    statistics = client.info("commandstats")
    return int(statistics.get(f"cmdstat_{command}", {"calls": 0})["calls"])


def _count_connections(client: redis.Redis) -> int:
    """Return how many connections were opened so far."""
    return int(client.info("stats")["total_connections_received"])


def test_heartbeats_and_settings_open_no_connections_and_go_on_after_an_outage(
    settings: Settings, client: redis.Redis, valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "HEARTBEAT_INTERVAL_SECONDS", 0.01)

    def watch() -> None:
        wait_until(lambda: _count_calls(client, "sadd") >= 3, "it has sent heartbeats")
        connections, heartbeats = _count_connections(client), _count_calls(client, "sadd")
        wait_until(lambda: _count_calls(client, "sadd") >= heartbeats + 10, "it continues")
        # It would be a connection for each of forty calls. On a busy machine, a thread opens its only one meanwhile.
        assert _count_connections(client) - connections < 20
        valkey.stop()
        valkey.start()
        client.flushall()
        wait_until(lambda: bool(HeartbeatRegistry(client).list_heartbeats()), "it is registered again")
        wait_until(lambda: bool(client.exists(RUNTIME_SETTINGS_KEY)), "the settings are restored")

    async def run() -> None:
        async with EventHub(settings, Pictures(settings)).run():
            await asyncio.to_thread(watch)

    asyncio.run(run())
