"""The feed: the one reader of the event stream in this process, shared by all viewers."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import redis.asyncio
from redis.exceptions import RedisError

from display.archive import Archive
from display.aside import aside
from display.recall import recall
from display.scene import DREAMS, Change, Scene
from display.viewer import Message, Viewer
from shared.broker import connect, connect_async
from shared.errors import ArtDreamError
from shared.events import BEGINNING, STREAM, Completed, Recorded, parse
from shared.presence import Part, Register
from shared.settings import Settings
from shared.store import Store

_LOG = logging.getLogger(__name__)

#: What says that the broker is away, or not yet able to serve.
_AWAY = (RedisError, OSError, ArtDreamError)

#: Events of the past that are read at the start: a few hundred dreams. Older dreams come from the store.
PAST = 5_000

#: Milliseconds that one read waits for an event.
_BLOCK = 5_000

#: Seconds before the first and the later attempts to reach what is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

#: Seconds between two announcements of this display.
ANNOUNCE = 5.0

#: Seconds that a new viewer waits for the past, so that a restarted wall does not flash its empty state.
_PATIENCE = 3.0

_Entries = list[tuple[str, dict[str, str]]]


class Feed:
    """Follows the stream, keeps the scene, tells the viewers. Runs in one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scene = Scene()
        #: Every dream there is.
        self.archive = Archive()
        self._viewers: set[Viewer] = set()
        self._last_id: str | None = None
        self._connected: bool | None = None
        #: Broker's clock minus this machine's monotonic clock, in seconds.
        self._clock = time.time() - time.monotonic()
        self._tried_broker, self._tried_store = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the stream while the context lasts; then end every viewer's stream."""
        tasks = [
            asyncio.create_task(work) for work in (self._follow(), self._recall(), self._announce(), self._collect())
        ]
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
                self._say_connected(False)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _catch_up(self, client: redis.asyncio.Redis) -> None:
        seconds, microseconds = await client.time()
        self._clock = seconds + microseconds / 1e6 - time.monotonic()
        if self._last_id is None:
            past = cast("_Entries", await client.xrevrange(STREAM, count=PAST))
            self._take(past[::-1])
            self._last_id = past[0][0] if past else BEGINNING

    async def _read(self, client: redis.asyncio.Redis) -> None:
        answer = await client.xread({STREAM: self._last_id or BEGINNING}, count=500, block=_BLOCK)
        for _, entries in cast("list[tuple[str, _Entries]]", answer or []):
            self._take(entries)
            self._last_id = entries[-1][0]

    def _take(self, entries: _Entries) -> None:
        for entry_id, fields in entries:
            # An entry trimmed under the reader has no fields; one of another version is no event here.
            recorded: Recorded | None = parse(entry_id, fields or {})
            change = recorded and self._scene.apply(recorded)
            if recorded and isinstance(recorded.event, Completed):
                self.archive.complete(recorded.event, recorded.at)
            if change:
                self._tell(Message.of(change, entry_id))

    async def _recall(self) -> None:
        """Add the dreams that the store remembers, as soon as it answers."""
        pause = _FIRST_PAUSE
        while True:
            try:
                dreams = await aside(lambda: recall(Store(self._settings.store), DREAMS))
                self._scene.remember(dreams)
                self._tell(self._snapshot())
                return
            except ArtDreamError as error:
                _LOG.debug("the store is away: %s", error)
            finally:
                self._tried_store.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _collect(self) -> None:
        """Fill the archive with what the store remembers, as soon as it answers."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await aside(lambda: self.archive.recall(Store(self._settings.store)))
                return
            except ArtDreamError as error:
                _LOG.debug("the store is away: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _announce(self) -> None:
        """Keep this display on the list of those present."""
        name, since = f"{socket.gethostname()}:{self._settings.port}", time.time()
        url = f"http://{self._settings.host}:{self._settings.port}"

        def say() -> None:
            with connect(self._settings.broker) as client:
                Register(client).announce(Part.DISPLAY, name, "showing", url, since=since)

        while True:
            with suppress(*_AWAY):
                await aside(say)
            await asyncio.sleep(ANNOUNCE)

    def _snapshot(self) -> Message:
        now = time.monotonic() + self._clock
        body = self._scene.snapshot(now) | {"connected": self._connected is not False}
        return Message.of(Change("snapshot", body), self._last_id or "")

    def _say_connected(self, connected: bool) -> None:
        self._tried_broker.set()
        if connected != self._connected:
            self._connected = connected
            self._tell(Message.of(Change("broker", {"connected": connected})))

    def _tell(self, message: Message) -> None:
        self._viewers = {viewer for viewer in self._viewers if viewer.offer(message)}
