"""Reads the event stream until it is cancelled: the only reader in this process, shared by all viewers."""

import asyncio
import logging
import time
from typing import Protocol, cast

import redis.asyncio
from redis.exceptions import RedisError

from shared.broker.client import connect_async
from shared.errors import ArtDreamError
from shared.jobs.events import STREAM_START_ID, parse_event_id
from shared.monitoring import metrics
from shared.redis_keys import STREAM
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Errors that mean that the broker is unavailable, or cannot serve yet.
BROKER_ERRORS = (RedisError, OSError, ArtDreamError)

#: Past events that are read at the start: a few hundred dreams. Older dreams come from the store.
INITIAL_EVENTS = 5_000

#: Events of one read. A reader that gets so many is behind, perhaps so far that the stream has been trimmed meanwhile.
MAX_EVENTS_PER_READ = 500

#: Milliseconds that one read waits for an event.
_BLOCK_MILLISECONDS = 5_000

#: Seconds before the first and before later attempts to reach an unavailable broker or store.
MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 2.0

#: Seconds without a read after which the reader counts as stuck: more than a read of a hanging broker takes.
STUCK_AFTER_SECONDS = 30.0

#: Entries of the stream: id and fields.
StreamEntries = list[tuple[str, dict[str, str]]]


class StreamHandler(Protocol):
    """Handles what a reader finds. Errors of BROKER_ERRORS make the reader connect again."""

    def handle_entries(self, entries: StreamEntries) -> None:
        """Handle entries, oldest first."""

    def handle_gap(self) -> None:
        """Handle that the stream may have been trimmed beyond what was read."""

    def handle_connection(self, *, is_connected: bool) -> None:
        """Handle that the connection was made or lost."""

    async def finish_read(self, *, has_caught_up: bool) -> None:
        """Finish a read. has_caught_up: whether it was the first one of a connection."""


class StreamReader:
    """Follows the stream from the last entry that it has read, across reconnects."""

    def __init__(self, settings: Settings, handler: StreamHandler) -> None:
        self._settings = settings
        self._handler = handler
        #: Id of the last entry that was read; None before the first.
        self.last_id: str | None = None
        #: None until the broker has been tried once.
        self.is_connected: bool | None = None
        #: Set as soon as the broker has been tried once.
        self.tried = asyncio.Event()
        #: When the broker was last read, or found unavailable, by the monotonic clock.
        self._tried_at = time.monotonic()
        #: Broker's clock minus this machine's monotonic clock, in seconds.
        self._clock_offset = time.time() - time.monotonic()

    @property
    def now(self) -> float:
        """The broker's clock, in epoch seconds."""
        return time.monotonic() + self._clock_offset

    @property
    def is_reading(self) -> bool:
        """Whether the broker was read, or found unavailable, within the last STUCK_AFTER_SECONDS."""
        return time.monotonic() - self._tried_at < STUCK_AFTER_SECONDS

    async def run(self) -> None:
        """Read until cancelled; while the broker is unavailable, try again with growing delay."""
        delay = MIN_RETRY_SECONDS
        while True:
            try:
                # The URL is read again: a stack that was restarted may listen on another port.
                async with connect_async(self._settings.broker) as client:
                    await self._catch_up(client)
                    self._set_connected(True)
                    delay = MIN_RETRY_SECONDS
                    while True:
                        await self._read(client)
            except BROKER_ERRORS as error:
                logger.debug("the broker is unavailable: %s", error)
                if self.is_connected is not False:
                    metrics.count_fault("away")
                self._tried_at = time.monotonic()
            finally:
                self._set_connected(False)
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)

    async def _catch_up(self, client: redis.asyncio.Redis) -> None:
        seconds, microseconds = await client.time()
        self._clock_offset = seconds + microseconds / 1e6 - time.monotonic()
        if self.last_id is None:
            past = cast("StreamEntries", await client.xrevrange(STREAM, count=INITIAL_EVENTS))
            self._handler.handle_entries(past[::-1])
            self.last_id = past[0][0] if past else STREAM_START_ID
        else:
            await self._check_for_trimmed_events(client)
            await self._check_for_new_stream(client)
        await self._handler.finish_read(has_caught_up=True)

    async def _read(self, client: redis.asyncio.Redis) -> None:
        streams = await client.xread(
            {STREAM: self.last_id or STREAM_START_ID}, count=MAX_EVENTS_PER_READ, block=_BLOCK_MILLISECONDS
        )
        for _, entries in cast("list[tuple[str, StreamEntries]]", streams or []):
            if len(entries) == MAX_EVENTS_PER_READ:
                await self._check_for_trimmed_events(client)
            self._handler.handle_entries(entries)
            self.last_id = entries[-1][0]
        self._tried_at = time.monotonic()
        await self._handler.finish_read(has_caught_up=False)

    async def _check_for_trimmed_events(self, client: redis.asyncio.Redis) -> None:
        """Report a gap if what follows the last entry that was read may be gone."""
        streams = await client.xread({STREAM: STREAM_START_ID}, count=1)
        last_id = parse_event_id(self.last_id or STREAM_START_ID)
        oldest = [entries[0][0] for _, entries in cast("list[tuple[str, StreamEntries]]", streams or [])]
        if any(parse_event_id(entry_id) > last_id for entry_id in oldest):
            self._handler.handle_gap()

    async def _check_for_new_stream(self, client: redis.asyncio.Redis) -> None:
        """Follow a stream that is empty or ends before the last entry that was read, and report a gap.

        Ids follow the broker's clock: those of a broker that came back empty with a clock that is behind are lower for
        as long as it is. What that stream has is skipped, because viewers may have seen it.
        """
        newest = cast("StreamEntries", await client.xrevrange(STREAM, count=1))
        newest_id = newest[0][0] if newest else STREAM_START_ID
        if parse_event_id(newest_id) < parse_event_id(self.last_id or STREAM_START_ID):
            self.last_id = newest_id
            self._handler.handle_gap()

    def _set_connected(self, is_connected: bool) -> None:
        self.tried.set()
        if is_connected != self.is_connected:
            self.is_connected = is_connected
            self._handler.handle_connection(is_connected=is_connected)
