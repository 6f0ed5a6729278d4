"""The feed: the one reader of the event stream in this process, shared by all viewers."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import redis.asyncio
from redis.exceptions import RedisError

from display.console.moderation import Moderation
from display.media.pictures import Pictures
from display.state.dream_index import Dream, DreamIndex
from display.state.live_state import Change, LiveState
from display.state.statistics import Statistics
from display.web.sse import SseMessage, Viewer
from display.web.threads import run_in_thread
from shared.broker.client import BROKER_UNAVAILABLE, connect, connect_async
from shared.errors import ArtDreamError
from shared.jobs.events import (
    STREAM,
    STREAM_START_ID,
    Completed,
    Deleted,
    Hidden,
    RecordedEvent,
    RuntimeSettingsChanged,
    Shown,
    parse_entry,
)
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.monitoring.stage_timer import record_stage
from shared.settings import Settings
from shared.storage.sidecar import Visibility
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: What says that the broker is away, or not yet able to serve.
_BROKER_ERRORS = (RedisError, OSError, ArtDreamError)

#: Dreams that a wall is told of: more than fit the strip of the widest one.
SNAPSHOT_DREAMS = 24

#: Events of the past that are read at the start: a few hundred dreams. Older dreams come from the store.
INITIAL_EVENTS = 5_000

#: Events of one read. Who gets so many is behind, perhaps so far that the stream has dropped what comes next.
MAX_EVENTS_PER_READ = 500

#: Milliseconds that one read waits for an event.
_BLOCK_MILLISECONDS = 5_000

#: Seconds before the first and the later attempts to reach what is away.
_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 0.1, 2.0

#: Seconds between two looks for dreams that have to go.
CLEANUP_INTERVAL_SECONDS = 60.0

#: Seconds between two announcements of this display.
HEARTBEAT_INTERVAL_SECONDS = 5.0

#: Seconds that a new viewer waits for the past, so that a restarted wall does not flash its empty state.
_INITIAL_SNAPSHOT_TIMEOUT_SECONDS = 3.0

_StreamEntries = list[tuple[str, dict[str, str]]]


class EventHub:
    """Follows the stream, keeps the scene, tells the viewers. Runs in one event loop."""

    def __init__(self, settings: Settings, pictures: Pictures) -> None:
        self._settings = settings
        self._pictures = pictures
        self._live_state = LiveState()
        #: Every dream there is.
        self.dream_index = DreamIndex()
        self.statistics = Statistics()
        self.moderation = Moderation(settings, self.dream_index)
        self._viewers: set[Viewer] = set()
        self._last_id: str | None = None
        self._connected: bool | None = None
        self._settings_changed = False
        #: Broker's clock minus this machine's monotonic clock, in seconds.
        self._clock_offset = time.time() - time.monotonic()
        self._broker_tried, self._store_tried = asyncio.Event(), asyncio.Event()
        #: Whether the store has to say what was dreamt.
        self._store_scan_needed = asyncio.Event()
        self._store_scan_needed.set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Follow the stream while the context lasts; then end every viewer's stream."""
        tasks = [
            asyncio.create_task(work)
            for work in (self._follow_stream(), self._load_from_store(), self._send_heartbeats(), self._run_cleanup())
        ]
        try:
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def connect_viewer(self) -> AsyncIterator[Viewer]:
        """Let a browser in. Its first message is a snapshot; whatever happens after that follows."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_INITIAL_SNAPSHOT_TIMEOUT_SECONDS):
                await self._broker_tried.wait()
                await self._store_tried.wait()
        viewer = Viewer()
        viewer.offer(self._make_snapshot())
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    @property
    def now(self) -> float:
        """The broker's clock, in epoch seconds."""
        return time.monotonic() + self._clock_offset

    def is_visible(self, job_id: str) -> bool:
        """Tell whether the pictures of a job may be seen by everybody."""
        return self.dream_index.is_visible(job_id) or self._live_state.is_visible(job_id)

    def is_photo_visible(self, photo: str) -> bool:
        """Tell whether a photo, named as an object, may be seen by everybody."""
        return self.dream_index.is_photo_visible(photo) or self._live_state.is_photo_visible(photo)

    def describe_job(self, job_id: str) -> dict[str, object] | None:
        """Tell whoever waits for one job where it is; None where nothing is known of it, or it is dreamt."""
        return self._live_state.describe_job(job_id, self.now)

    def close(self) -> None:
        """End every viewer's stream."""
        for viewer in self._viewers:
            viewer.disconnect()

    async def _follow_stream(self) -> None:
        """Read the stream for ever, from where the last reading ended."""
        pause = _MIN_RETRY_SECONDS
        while True:
            try:
                # The URL is asked for anew: a stack that was started again may listen elsewhere.
                async with connect_async(self._settings.broker) as client:
                    await self._catch_up(client)
                    self._set_connected(True)
                    pause = _MIN_RETRY_SECONDS
                    while True:
                        await self._read_stream(client)
            except _BROKER_ERRORS as error:
                logger.debug("the broker is away: %s", error)
                if self._connected is not False:
                    metrics.count_fault("away")
                self._set_connected(False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_RETRY_SECONDS)

    async def _catch_up(self, client: redis.asyncio.Redis) -> None:
        seconds, microseconds = await client.time()
        self._clock_offset = seconds + microseconds / 1e6 - time.monotonic()
        if self._last_id is None:
            past = cast("_StreamEntries", await client.xrevrange(STREAM, count=INITIAL_EVENTS))
            self._process_entries(past[::-1])
            self._last_id = past[0][0] if past else STREAM_START_ID
        else:
            await self._check_for_trimmed_events(client)
        await self._sync_runtime_settings()

    async def _read_stream(self, client: redis.asyncio.Redis) -> None:
        answer = await client.xread(
            {STREAM: self._last_id or STREAM_START_ID}, count=MAX_EVENTS_PER_READ, block=_BLOCK_MILLISECONDS
        )
        for _, entries in cast("list[tuple[str, _StreamEntries]]", answer or []):
            if len(entries) == MAX_EVENTS_PER_READ:
                await self._check_for_trimmed_events(client)
            self._process_entries(entries)
            self._last_id = entries[-1][0]
        if self._settings_changed:
            await self._sync_runtime_settings()

    async def _check_for_trimmed_events(self, client: redis.asyncio.Redis) -> None:
        """Ask the store where the stream may have dropped something that was not read yet."""
        answer = await client.xread({STREAM: STREAM_START_ID}, count=1)
        for _, entries in cast("list[tuple[str, _StreamEntries]]", answer or []):
            if _parse_entry_id(entries[0][0]) > _parse_entry_id(self._last_id or STREAM_START_ID):
                self._store_scan_needed.set()

    def _process_entries(self, entries: _StreamEntries) -> None:
        for entry_id, fields in entries:
            # An entry trimmed under the reader has no fields; one of another version is no event here.
            recorded: RecordedEvent | None = parse_entry(entry_id, fields or {})
            if recorded is None:
                if fields:
                    self.statistics.unreadable_events += 1
                    metrics.count_unreadable("event")
                continue
            self.statistics.apply(recorded)
            change = self._live_state.apply(recorded)
            if change := self._update_index(recorded) or change:
                self._broadcast(SseMessage.from_change(change, entry_id))
            self._settings_changed |= isinstance(recorded.event, RuntimeSettingsChanged)

    def _update_index(self, recorded: RecordedEvent) -> Change | None:
        """Bring the archive up to date; return what viewers must be told."""
        match recorded.event:
            case Completed() as event:
                self._pictures.prefetch(event)
                dream = Dream.from_completed(
                    event, recorded.recorded_at, self._resolve_visibility(event.job_id, is_held=recorded.held)
                )
            case Shown() as event:
                dream = Dream.from_completed(event.completed, event.dreamt_at)
            case Hidden() as event:
                self.dream_index.hide(event.job_id)
                return self._make_change("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case Deleted() as event:
                self.dream_index.delete(event.job_id)
                self._pictures.remove_dream(event.job_id, event.photo_id)
                return self._make_change("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case _:
                return None
        self.dream_index.put(dream)
        seen = self.dream_index.is_visible(dream.job_id) and dream.completed_at >= self.dream_index.opened_at
        if seen and self._connected:  # what is read before is the past
            record_stage(dream.job_id, "show", max(0.0, self.now - recorded.recorded_at))
        return self._make_change("dream", dream.as_json(), recorded.recorded_at) if seen else None

    def _resolve_visibility(self, job_id: str, *, is_held: bool) -> Visibility:
        """Return who may see a dream that is announced: only the operator's word shows what was held or hidden."""
        before = self.dream_index.find(job_id)
        if before is not None and before.visibility is not Visibility.SHOWN:
            return before.visibility
        return Visibility.HELD if is_held else Visibility.SHOWN

    def _make_change(self, kind: str, body: dict[str, object], at: float) -> Change:
        return Change(kind, body | self._live_state.describe_queue(at))

    async def _sync_runtime_settings(self) -> None:
        """Learn from when on dreams are shown; tell a broker that lost its memory, and the store what was decided."""
        self._settings_changed = False
        with suppress(StoreError):  # the last word holds; asked again in a moment
            steering = await run_in_thread(self.moderation.read_settings)
            if steering.opened_at != self.dream_index.opened_at:
                self.dream_index.opened_at = steering.opened_at
                self._broadcast(self._make_snapshot())
            await run_in_thread(self.moderation.persist_settings)

    async def _load_from_store(self) -> None:
        """Add the dreams that the store remembers, as soon as it answers: at the start, and where news were missed."""
        loop, pause = asyncio.get_running_loop(), _MIN_RETRY_SECONDS

        def broadcast_snapshot() -> None:
            self._store_tried.set()
            self._broadcast(self._make_snapshot())

        def schedule_broadcast() -> None:
            loop.call_soon_threadsafe(broadcast_snapshot)

        def load() -> None:
            self.dream_index.load_from_store(Store(self._settings.store), self._are_held, schedule_broadcast)
            with suppress(ArtDreamError):  # a broker that is away is told when it is back
                self.moderation.restore_visibility()

        while True:
            await self._store_scan_needed.wait()
            self._store_scan_needed.clear()
            try:
                await run_in_thread(load)
                pause = _MIN_RETRY_SECONDS
                continue
            except ArtDreamError as error:
                logger.debug("the store is away: %s", error)
                self._store_scan_needed.set()
            finally:
                self._store_tried.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_RETRY_SECONDS)

    async def _run_cleanup(self) -> None:
        """Delete what has to go, now and then."""
        while True:
            await asyncio.sleep(CLEANUP_INTERVAL_SECONDS)
            try:
                await run_in_thread(self.moderation.clean_up)
            except ArtDreamError as error:
                logger.debug("nothing was tidied: %s", error)

    def _are_held(self, job_ids: Sequence[str]) -> list[bool]:
        """Ask the broker which jobs nobody may see; while it is away the sidecars have the word."""
        try:
            with connect(self._settings.broker) as client:
                return JobTable(client).are_not_visible(job_ids)
        except (*BROKER_UNAVAILABLE, ArtDreamError):
            return [False] * len(job_ids)

    async def _send_heartbeats(self) -> None:
        """Keep this display on the list of those present, and the broker's memory of what was decided."""
        name, since = f"{socket.gethostname()}:{self._settings.port}", time.time()
        url = f"http://{self._settings.host}:{self._settings.port}"

        def send_heartbeat() -> None:
            with connect(self._settings.broker) as client:
                HeartbeatRegistry(client).announce(Component.DISPLAY, name, "showing", url, since=since)

        while True:
            with suppress(*_BROKER_ERRORS):
                await run_in_thread(send_heartbeat)
                await self._sync_runtime_settings()  # a broker that was wiped says nothing by itself
            await asyncio.sleep(HEARTBEAT_INTERVAL_SECONDS)

    def _make_snapshot(self) -> SseMessage:
        dreams = [dream.as_json() for dream in self.dream_index.list_newest(SNAPSHOT_DREAMS)]
        body = self._live_state.snapshot(self.now) | {"dreams": dreams, "connected": self._connected is not False}
        return SseMessage.from_change(Change("snapshot", body), self._last_id or "")

    def _set_connected(self, connected: bool) -> None:
        self._broker_tried.set()
        if connected != self._connected:
            self._connected = connected
            self._broadcast(SseMessage.from_change(Change("broker", {"connected": connected})))

    def _broadcast(self, message: SseMessage) -> None:
        self._viewers = {viewer for viewer in self._viewers if viewer.offer(message)}


def _parse_entry_id(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))
