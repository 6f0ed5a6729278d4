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

from display.console.moderation import Curator
from display.media.pictures import Pictures
from display.state.dream_index import Archive, Dream
from display.state.live_state import Change, Scene
from display.state.statistics import Gauge
from display.web.sse import Message, Viewer
from display.web.threads import aside
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

_LOG = logging.getLogger(__name__)

#: What says that the broker is away, or not yet able to serve.
_AWAY = (RedisError, OSError, ArtDreamError)

#: Dreams that a wall is told of: more than fit the strip of the widest one.
DREAMS = 24

#: Events of the past that are read at the start: a few hundred dreams. Older dreams come from the store.
PAST = 5_000

#: Events of one read. Who gets so many is behind, perhaps so far that the stream has dropped what comes next.
AT_ONCE = 500

#: Milliseconds that one read waits for an event.
_BLOCK = 5_000

#: Seconds before the first and the later attempts to reach what is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

#: Seconds between two looks for dreams that have to go.
TIDY_EVERY = 60.0

#: Seconds between two announcements of this display.
ANNOUNCE = 5.0

#: Seconds that a new viewer waits for the past, so that a restarted wall does not flash its empty state.
_PATIENCE = 3.0

_Entries = list[tuple[str, dict[str, str]]]


class Feed:
    """Follows the stream, keeps the scene, tells the viewers. Runs in one event loop."""

    def __init__(self, settings: Settings, pictures: Pictures) -> None:
        self._settings = settings
        self._pictures = pictures
        self._scene = Scene()
        #: Every dream there is.
        self.archive = Archive()
        self.gauge = Gauge()
        self.curator = Curator(settings, self.archive)
        self._viewers: set[Viewer] = set()
        self._last_id: str | None = None
        self._connected: bool | None = None
        self._steered = False
        #: Broker's clock minus this machine's monotonic clock, in seconds.
        self._clock = time.time() - time.monotonic()
        self._tried_broker, self._tried_store = asyncio.Event(), asyncio.Event()
        #: Whether the store has to say what was dreamt.
        self._missed = asyncio.Event()
        self._missed.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the stream while the context lasts; then end every viewer's stream."""
        tasks = [asyncio.create_task(work) for work in (self._follow(), self._recall(), self._announce(), self._tidy())]
        try:
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def viewer(self) -> AsyncIterator[Viewer]:
        """Let a browser in. Its first message is a snapshot; whatever happens after that follows."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._tried_broker.wait()
                await self._tried_store.wait()
        viewer = Viewer()
        viewer.offer(self._snapshot())
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    @property
    def now(self) -> float:
        """The broker's clock, in epoch seconds."""
        return time.monotonic() + self._clock

    def shows(self, job_id: str) -> bool:
        """Tell whether the pictures of a job may be seen by everybody."""
        return self.archive.shows(job_id) or self._scene.shows(job_id)

    def shows_photo(self, photo: str) -> bool:
        """Tell whether a photo, named as an object, may be seen by everybody."""
        return self.archive.shows_photo(photo) or self._scene.shows_photo(photo)

    def whereabouts(self, job_id: str) -> dict[str, object] | None:
        """Tell whoever waits for one job where it is; None where nothing is known of it, or it is dreamt."""
        return self._scene.whereabouts(job_id, self.now)

    def close(self) -> None:
        """End every viewer's stream."""
        for viewer in self._viewers:
            viewer.cut()

    async def _follow(self) -> None:
        """Read the stream for ever, from where the last reading ended."""
        pause = _FIRST_PAUSE
        while True:
            try:
                # The URL is asked for anew: a stack that was started again may listen elsewhere.
                async with connect_async(self._settings.broker) as client:
                    await self._catch_up(client)
                    self._say_connected(True)
                    pause = _FIRST_PAUSE
                    while True:
                        await self._read(client)
            except _AWAY as error:
                _LOG.debug("the broker is away: %s", error)
                if self._connected is not False:
                    metrics.count_fault("away")
                self._say_connected(False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _catch_up(self, client: redis.asyncio.Redis) -> None:
        seconds, microseconds = await client.time()
        self._clock = seconds + microseconds / 1e6 - time.monotonic()
        if self._last_id is None:
            past = cast("_Entries", await client.xrevrange(STREAM, count=PAST))
            self._take(past[::-1])
            self._last_id = past[0][0] if past else STREAM_START_ID
        else:
            await self._look_back(client)
        await self._steer()

    async def _read(self, client: redis.asyncio.Redis) -> None:
        answer = await client.xread({STREAM: self._last_id or STREAM_START_ID}, count=AT_ONCE, block=_BLOCK)
        for _, entries in cast("list[tuple[str, _Entries]]", answer or []):
            if len(entries) == AT_ONCE:
                await self._look_back(client)
            self._take(entries)
            self._last_id = entries[-1][0]
        if self._steered:
            await self._steer()

    async def _look_back(self, client: redis.asyncio.Redis) -> None:
        """Ask the store where the stream may have dropped something that was not read yet."""
        answer = await client.xread({STREAM: STREAM_START_ID}, count=1)
        for _, entries in cast("list[tuple[str, _Entries]]", answer or []):
            if _order(entries[0][0]) > _order(self._last_id or STREAM_START_ID):
                self._missed.set()

    def _take(self, entries: _Entries) -> None:
        for entry_id, fields in entries:
            # An entry trimmed under the reader has no fields; one of another version is no event here.
            recorded: RecordedEvent | None = parse_entry(entry_id, fields or {})
            if recorded is None:
                if fields:
                    self.gauge.unread += 1
                    metrics.count_unreadable("event")
                continue
            self.gauge.apply(recorded)
            change = self._scene.apply(recorded)
            if change := self._file(recorded) or change:
                self._tell(Message.of(change, entry_id))
            self._steered |= isinstance(recorded.event, RuntimeSettingsChanged)

    def _file(self, recorded: RecordedEvent) -> Change | None:
        """Bring the archive up to date; return what viewers must be told."""
        match recorded.event:
            case Completed() as event:
                self._pictures.expect(event)
                dream = Dream.announced(event, recorded.recorded_at, self._standing(event.job_id, held=recorded.held))
            case Shown() as event:
                dream = Dream.announced(event.completed, event.dreamt_at)
            case Hidden() as event:
                self.archive.hide(event.job_id)
                return self._told_of("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case Deleted() as event:
                self.archive.delete(event.job_id)
                self._pictures.forget(event.job_id, event.photo_id)
                return self._told_of("gone", {"job_id": event.job_id}, recorded.recorded_at)
            case _:
                return None
        self.archive.put(dream)
        seen = self.archive.shows(dream.job_id) and dream.at >= self.archive.opened_at
        if seen and self._connected:  # what is read before is the past
            record_stage(dream.job_id, "show", max(0.0, self.now - recorded.recorded_at))
        return self._told_of("dream", dream.told(), recorded.recorded_at) if seen else None

    def _standing(self, job_id: str, *, held: bool) -> Visibility:
        """Return who may see a dream that is announced: only the operator's word shows what was held or hidden."""
        before = self.archive.find(job_id)
        if before is not None and before.standing is not Visibility.SHOWN:
            return before.standing
        return Visibility.HELD if held else Visibility.SHOWN

    def _told_of(self, kind: str, body: dict[str, object], at: float) -> Change:
        return Change(kind, body | self._scene.queue(at))

    async def _steer(self) -> None:
        """Learn from when on dreams are shown; tell a broker that lost its memory, and the store what was decided."""
        self._steered = False
        with suppress(StoreError):  # the last word holds; asked again in a moment
            steering = await aside(self.curator.steering)
            if steering.opened_at != self.archive.opened_at:
                self.archive.opened_at = steering.opened_at
                self._tell(self._snapshot())
            await aside(self.curator.note)

    async def _recall(self) -> None:
        """Add the dreams that the store remembers, as soon as it answers: at the start, and where news were missed."""
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE

        def tell() -> None:
            self._tried_store.set()
            self._tell(self._snapshot())

        def tell_soon() -> None:
            loop.call_soon_threadsafe(tell)

        def work() -> None:
            self.archive.recall(Store(self._settings.store), self._held, tell_soon)
            with suppress(ArtDreamError):  # a broker that is away is told when it is back
                self.curator.remind()

        while True:
            await self._missed.wait()
            self._missed.clear()
            try:
                await aside(work)
                pause = _FIRST_PAUSE
                continue
            except ArtDreamError as error:
                _LOG.debug("the store is away: %s", error)
                self._missed.set()
            finally:
                self._tried_store.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _tidy(self) -> None:
        """Delete what has to go, now and then."""
        while True:
            await asyncio.sleep(TIDY_EVERY)
            try:
                await aside(self.curator.tidy)
            except ArtDreamError as error:
                _LOG.debug("nothing was tidied: %s", error)

    def _held(self, job_ids: Sequence[str]) -> list[bool]:
        """Ask the broker which jobs nobody may see; while it is away the sidecars have the word."""
        try:
            with connect(self._settings.broker) as client:
                return JobTable(client).are_not_visible(job_ids)
        except (*BROKER_UNAVAILABLE, ArtDreamError):
            return [False] * len(job_ids)

    async def _announce(self) -> None:
        """Keep this display on the list of those present, and the broker's memory of what was decided."""
        name, since = f"{socket.gethostname()}:{self._settings.port}", time.time()
        url = f"http://{self._settings.host}:{self._settings.port}"

        def say() -> None:
            with connect(self._settings.broker) as client:
                HeartbeatRegistry(client).announce(Component.DISPLAY, name, "showing", url, since=since)

        while True:
            with suppress(*_AWAY):
                await aside(say)
                await self._steer()  # a broker that was wiped says nothing by itself
            await asyncio.sleep(ANNOUNCE)

    def _snapshot(self) -> Message:
        dreams = [dream.told() for dream in self.archive.newest(DREAMS)]
        body = self._scene.snapshot(self.now) | {"dreams": dreams, "connected": self._connected is not False}
        return Message.of(Change("snapshot", body), self._last_id or "")

    def _say_connected(self, connected: bool) -> None:
        self._tried_broker.set()
        if connected != self._connected:
            self._connected = connected
            self._tell(Message.of(Change("broker", {"connected": connected})))

    def _tell(self, message: Message) -> None:
        self._viewers = {viewer for viewer in self._viewers if viewer.offer(message)}


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-")))
