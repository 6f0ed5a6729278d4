"""The usage recorder: guests never wait for it, and an outage of the broker loses no event."""

import asyncio
from collections import Counter

import pytest
import redis

from display.state import usage_recorder
from display.state.broker_pool import BrokerPool
from display.state.usage_recorder import UsageRecorder
from display.web.supervision import run_supervised
from shared.broker.client import connect
from shared.monitoring.usage_counts import Counted, read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.settings import Settings
from shared.storage.store import Store
from tests.servers import Valkey
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until


def read_counts(client: redis.Redis, store: Store) -> Counter[str]:
    return merge_counts(read_usage_counts(client, store, 0, 2**31).values())


def test_events_wait_for_a_broker_that_is_away_and_are_counted_once(settings: Settings, store: Store) -> None:
    valkey = Valkey()
    recorder = UsageRecorder(
        BrokerPool(settings.model_copy(update={"broker_url": Settings(broker_url=valkey.url).broker_url}))
    )

    async def run() -> None:
        async with run_supervised(recorder.run), asyncio.timeout(WAIT_TIMEOUT_SECONDS):
            for _ in range(3):
                recorder.record(Counted.SAVED)
            recorder.record(Counted.REFUSED, "phone", "too_large")
            await asyncio.sleep(0)
            valkey.start()
            expected = {"saved": 3, "refused|phone|too_large": 1}
            with connect(valkey.url) as client:
                await asyncio.to_thread(wait_until, lambda: read_counts(client, store) == expected, "all are counted")

    try:
        asyncio.run(run())
    finally:
        valkey.stop()


def test_of_too_many_events_the_oldest_are_dropped(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, store: Store, client: redis.Redis
) -> None:
    monkeypatch.setattr(usage_recorder, "MAX_WAITING_EVENTS", 2)
    recorder = UsageRecorder(BrokerPool(settings))
    for kind in (Counted.OPENED, Counted.SAVED, Counted.SAVED):
        recorder.record(kind)
    recorder._count_waiting()
    assert read_counts(client, store) == {"saved": 2}


def test_what_is_no_label_is_refused_before_it_waits(settings: Settings) -> None:
    recorder = UsageRecorder(BrokerPool(settings))
    with pytest.raises(ValueError, match="no labels"):
        recorder.record(Counted.REFUSED, "phone", "Ada's photo.heic")
    assert not recorder._waiting
