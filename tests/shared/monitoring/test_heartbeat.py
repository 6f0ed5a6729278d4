"""Heartbeats: who is alive is known at once, however many jobs the broker remembers."""

from dataclasses import replace

import redis

from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.redis_keys import HEARTBEATS
from shared.timing import DEFAULT_TIMING
from tests.waiting import wait_until


def test_live_processes_are_found_by_component_and_name_without_a_look_at_all_keys(client: redis.Redis) -> None:
    """Seen failing: each scrape and each view of the console scanned the keys of all jobs."""
    registry = HeartbeatRegistry(client)
    for component, name in ((Component.WORKER, "w2"), (Component.WORKER, "w1"), (Component.DISPLAY, "d")):
        registry.announce(component, name, "ready")
    client.config_resetstat()
    assert [heartbeat.name for heartbeat in registry.list_heartbeats()] == ["d", "w1", "w2"]
    assert "cmdstat_scan" not in client.info("commandstats")


def test_a_process_that_stops_is_gone_at_once(client: redis.Redis) -> None:
    registry = HeartbeatRegistry(client)
    registry.announce(Component.WORKER, "w", "ready")
    registry.remove(Component.WORKER, "w")
    assert registry.list_heartbeats() == []
    assert client.smembers(HEARTBEATS) == set()


def test_a_process_that_dies_is_forgotten_and_one_that_comes_back_is_found(client: redis.Redis) -> None:
    """The index is bounded: it keeps no name of a process that was killed."""
    dying = HeartbeatRegistry(client, replace(DEFAULT_TIMING, heartbeat_ttl_seconds=0.05))
    dying.announce(Component.WORKER, "w", "ready")
    wait_until(lambda: dying.list_heartbeats() == [])
    assert client.smembers(HEARTBEATS) == set()
    HeartbeatRegistry(client).announce(Component.WORKER, "w", "dreaming")
    assert [heartbeat.state for heartbeat in dying.list_heartbeats()] == ["dreaming"]
