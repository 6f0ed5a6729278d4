"""The event hub with a real broker: neither an event nor an unavailable broker ends it, and a stuck one is reported."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import redis
from pydantic import SecretStr
from starlette.requests import Request

from display.media.disk_cache import CACHE_FOLDER
from display.media.pictures import Pictures
from display.server import health_route
from display.state import housekeeping
from display.state.event_hub import EventHub
from display.state.live_state import Change, LiveState
from display.state.stream_reader import STUCK_AFTER_SECONDS, StreamReader
from shared.jobs.events import EventLog, Hidden, RecordedEvent, RuntimeSettingsChanged, parse_event_id
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.redis_keys import STREAM
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects, delete_photo_objects, write_tombstone
from shared.storage.object_names import (
    RUNTIME_SETTINGS_NAME,
    clip_name,
    dream_name,
    logo_name,
    photo_name,
    working_photo_name,
)
from shared.storage.store import Store
from tests.display.fake_pipeline import FakePipeline
from tests.servers import S3Server
from tests.waiting import wait_until


def run_event_hub(settings: Settings, use: Callable[[EventHub], Awaitable[None]]) -> None:
    """Run an event hub that reads the broker's stream while `use` does."""

    async def run() -> None:
        event_hub = EventHub(settings, Pictures(settings))
        async with event_hub.run():
            await use(event_hub)

    asyncio.run(run())


def test_an_event_that_causes_a_fault_keeps_no_later_one_from_the_wall(
    settings: Settings, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the task that reads ended, and the wall said that it was connected."""
    pipeline = FakePipeline(client, store)
    poisonous = pipeline.submit_photo((1, 2, 3))
    apply = LiveState.apply

    def apply_or_fail(live_state: LiveState, recorded: RecordedEvent) -> Change | None:
        if getattr(recorded.event, "job_id", "") == poisonous.id:
            raise KeyError("a bug")
        return apply(live_state, recorded)

    monkeypatch.setattr(LiveState, "apply", apply_or_fail)

    async def add_dreams(event_hub: EventHub) -> None:
        first = pipeline.add_dream((4, 5, 6))
        await asyncio.to_thread(wait_until, lambda: event_hub.dream_index.is_visible(first.id), "the past is read")
        pipeline.complete_job(pipeline.claim_job(poisonous))
        second = pipeline.add_dream((7, 8, 9))
        await asyncio.to_thread(wait_until, lambda: event_hub.dream_index.is_visible(second.id), "what comes is read")
        assert event_hub.statistics.unreadable_events == 4  # accepted, queued, started, completed

    run_event_hub(settings, add_dreams)


def test_the_index_is_complete_again_only_once_the_store_was_read_after_a_gap(
    settings: Settings, client: redis.Redis, store: Store
) -> None:
    """Until then a dream that is missing may be one whose event was missed, so its photo must not be deleted."""
    FakePipeline(client, store).add_dream((1, 2, 3))

    async def miss_events(event_hub: EventHub) -> None:
        await asyncio.to_thread(wait_until, lambda: event_hub.dream_index.is_complete, "the store has been read")
        event_hub.handle_gap()
        assert not event_hub.dream_index.is_complete
        await asyncio.to_thread(wait_until, lambda: event_hub.dream_index.is_complete, "it has been read again")

    run_event_hub(settings, miss_events)


def test_jobs_that_a_wiped_broker_has_lost_are_on_their_way_no_longer_once_it_is_back(
    settings: Settings, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: walls said so until the display was started again."""
    monkeypatch.setattr("display.state.event_hub.LOST_JOBS_CHECK_SECONDS", 0.5)
    monkeypatch.setattr("display.state.stream_reader._BLOCK_MILLISECONDS", 100)
    pipeline = FakePipeline(client, store)
    pipeline.claim_job(pipeline.submit_photo((1, 2, 3)))
    pipeline.submit_photo((4, 5, 6))

    async def lose_jobs(event_hub: EventHub) -> None:
        def has_unfinished(running: int, waiting: int) -> bool:
            snapshot = event_hub._live_state.snapshot(event_hub.now)
            return (len(cast("list[object]", snapshot["running"])), snapshot["waiting"]) == (running, waiting)

        await asyncio.to_thread(wait_until, lambda: has_unfinished(1, 1), "both jobs are known")
        async with event_hub.connect_viewer() as viewer:
            client.flushall()
            again = pipeline.submit_photo((4, 5, 6))  # its producer has it in its ledger
            client.client_kill_filter(_type="normal")
            await asyncio.to_thread(wait_until, lambda: has_unfinished(0, 1), "only one is on its way")
            pipeline.fail_job(pipeline.claim_job(again))
            await asyncio.to_thread(wait_until, lambda: has_unfinished(0, 0), "that has ended")
            messages = viewer.take_waiting()
        assert sum(b"event: ended" in message.data for message in messages) == 2

    run_event_hub(settings, lose_jobs)


def test_a_store_that_hangs_delays_neither_events_nor_heartbeats_and_gets_the_settings_once_it_answers(
    settings: Settings, client: redis.Redis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: while the settings were on their way to the store, no event was read and no heartbeat sent."""
    for name in ("HEARTBEAT_INTERVAL_SECONDS", "SETTINGS_SYNC_INTERVAL_SECONDS"):
        monkeypatch.setattr(f"display.state.housekeeping.{name}", 0.1)
    job = FakePipeline(client, store).add_dream((1, 2, 3))
    update_runtime_settings(client, retention_days=4)
    registry = HeartbeatRegistry(client)
    settings_file = settings.data / "store" / RUNTIME_SETTINGS_NAME

    def let_store_hang() -> None:
        settings_file.unlink()
        os.mkfifo(settings_file)  # whoever opens it waits until it is opened for writing

    def let_store_answer() -> None:
        writer = os.open(settings_file, os.O_RDWR | os.O_NONBLOCK)
        settings_file.unlink()
        os.close(writer)

    def use_hanging_store(event_hub: EventHub) -> None:
        update_runtime_settings(client, retention_days=5)
        change_id = EventLog(client).last_id()
        wait_until(lambda: event_hub.last_event_id == change_id, "the change is read")
        JobTable(client).hide(Hidden(job_id=job.id, photo_id=job.photo_id))
        wait_until(lambda: not event_hub.dream_index.is_visible(job.id), "what follows is read")
        for _ in range(3):
            wait_until(registry.list_heartbeats, "the display sends a heartbeat")
            registry.remove(Component.DISPLAY, registry.list_heartbeats()[0].name)

    async def check(event_hub: EventHub) -> None:
        await asyncio.to_thread(wait_until, lambda: event_hub.dream_index.is_visible(job.id), "the past is read")
        await asyncio.to_thread(wait_until, settings_file.exists, "the settings are persisted")
        let_store_hang()
        try:
            await asyncio.to_thread(use_hanging_store, event_hub)
        finally:
            let_store_answer()
        await asyncio.to_thread(
            wait_until, lambda: b'"retention_days": 5' in (store.get(RUNTIME_SETTINGS_NAME) or b""), "it is persisted"
        )

    run_event_hub(settings, check)


@pytest.mark.parametrize("is_empty", [False, True])
def test_the_events_of_a_broker_that_came_back_empty_with_a_clock_that_is_behind_are_read(
    settings: Settings, client: redis.Redis, store: Store, *, is_empty: bool
) -> None:
    """Seen failing: nothing that happened was seen until the broker's clock had caught up, in this test an hour."""
    pipeline = FakePipeline(client, store)
    seconds, _ = client.time()
    ahead_id = f"{1000 * (seconds + 3600)}-0"

    def is_ahead(event_hub: EventHub) -> bool:
        return parse_event_id(event_hub.last_event_id) >= parse_event_id(ahead_id)

    async def lose_stream(event_hub: EventHub) -> None:
        async def wait(condition: Callable[[], object], description: str) -> None:
            await asyncio.to_thread(wait_until, condition, description)

        client.xadd(STREAM, {"event": RuntimeSettingsChanged().model_dump_json()}, id=ahead_id)
        await wait(lambda: is_ahead(event_hub), "the stream is read")
        client.delete(STREAM)
        missed = None if is_empty else pipeline.add_dream((1, 2, 3))
        async with event_hub.connect_viewer() as viewer:
            client.client_kill_filter(_type="normal")
            await wait(lambda: not is_ahead(event_hub), "the other stream is noticed")
            if missed:
                await wait(lambda: event_hub.dream_index.is_visible(missed.id), "what was missed is in the store")
            later = pipeline.add_dream((4, 5, 6))
            await wait(lambda: event_hub.dream_index.is_visible(later.id), "what comes is read")
            messages = viewer.take_waiting()
        assert sum(b"event: dream" in message.data for message in messages) == 1
        assert event_hub.last_event_id == EventLog(client).last_id()

    run_event_hub(settings, lose_stream)


def test_what_was_deleted_without_an_event_leaves_the_cache_once_the_store_was_read(
    settings: Settings, client: redis.Redis, s3: S3Server
) -> None:
    """Seen failing: photo, dream and clip stayed on the disk of a display that was off when they were deleted."""
    settings = settings.model_copy(update={"store_url": s3.url})
    store, cache = Store(settings.store), settings.data / CACHE_FOLDER
    pipeline = FakePipeline(client, store)
    kept, deleted = (pipeline.add_dream((10 * number, 2, 3)) for number in range(2))
    running = pipeline.submit_photo((7, 8, 9))
    pipeline.claim_job(running)
    kept_names, deleted_names = (
        [photo_name(job.photo_id), working_photo_name(job.photo_id), dream_name(job.id), clip_name(job.id)]
        for job in (kept, deleted)
    )
    kept_names.append(logo_name("0" * 64))
    for name in kept_names + deleted_names:
        store.put(name, b"picture")

    def is_cached(name: str) -> bool:
        return (cache / name.replace("/", "~")).exists()

    async def fetch(pictures: Pictures, names: list[str]) -> None:
        for name in names:
            assert await pictures.get(name)
        await asyncio.to_thread(wait_until, lambda: all(map(is_cached, names)), "they are cached")

    asyncio.run(fetch(Pictures(settings), kept_names + deleted_names))
    write_tombstone(store, deleted.id)
    delete_dream_objects(store, deleted.id)
    delete_photo_objects(store, deleted.photo_id)

    async def scan_twice(event_hub: EventHub) -> None:
        await asyncio.to_thread(wait_until, lambda: not any(map(is_cached, deleted_names)), "what was deleted leaves")
        running_photo, unused_photo = photo_name(running.photo_id), photo_name("f" * 64)
        await asyncio.to_thread(wait_until, lambda: event_hub.is_photo_visible(running_photo), "the stream is read")
        store.put(unused_photo, b"picture")
        await fetch(event_hub._pictures, [running_photo, unused_photo])
        event_hub.handle_gap()
        await asyncio.to_thread(wait_until, lambda: not is_cached(unused_photo), "an unused photo leaves")
        assert all(map(is_cached, [running_photo, *kept_names]))

    run_event_hub(settings, scan_twice)


def test_what_killed_processes_left_in_the_store_is_deleted_also_while_the_broker_is_unavailable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without the call: parts of guests' photos stayed for good."""
    monkeypatch.setattr(housekeeping, "CLEANUP_INTERVAL_SECONDS", 0.01)
    incomplete_file = settings.data / "store" / "photos" / "ab.jpg#1"
    incomplete_file.parent.mkdir(parents=True)
    incomplete_file.write_bytes(b"pix")
    os.utime(incomplete_file, (0, 0))

    async def wait(_: EventHub) -> None:
        await asyncio.to_thread(wait_until, lambda: not incomplete_file.exists())

    run_event_hub(settings.model_copy(update={"broker_url": SecretStr("redis://127.0.0.1:1/0")}), wait)


async def read_health(event_hub: EventHub) -> int:
    response = await health_route(event_hub).endpoint(Request({"type": "http"}))
    return int(response.status_code)


def test_a_display_is_well_while_it_reads_or_tries_to(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is unavailable is no reason to restart a display: it shows what it has."""
    monkeypatch.setattr("display.state.stream_reader.STUCK_AFTER_SECONDS", 10.0)
    monkeypatch.setattr("display.state.stream_reader._BLOCK_MILLISECONDS", 100)

    async def check(event_hub: EventHub) -> None:
        event_hub._reader._tried_at -= 20
        await asyncio.to_thread(wait_until, lambda: event_hub.is_reading, "it reads")
        assert await read_health(event_hub) == 200

    run_event_hub(settings, check)
    without_broker = settings.model_copy(update={"broker_url": Settings(broker_url="redis://127.0.0.1:1/0").broker_url})
    run_event_hub(without_broker, check)


def test_a_display_that_reads_nothing_for_long_is_not_well(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: StreamReader, __: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(StreamReader, "_read", hang)

    async def check(event_hub: EventHub) -> None:
        assert await read_health(event_hub) == 200
        event_hub._reader._tried_at -= STUCK_AFTER_SECONDS
        assert await read_health(event_hub) == 503

    run_event_hub(settings, check)
