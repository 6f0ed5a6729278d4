"""Background work of the display: load dreams, send heartbeats, sync settings, persist counts, delete old dreams."""

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from redis.exceptions import RedisError

from display.moderation import Moderation
from display.state.broker_pool import BrokerPool
from display.state.dream_index import DreamIndex
from display.state.stream_reader import BROKER_ERRORS, MAX_RETRY_SECONDS, MIN_RETRY_SECONDS
from display.web.threads import run_in_thread
from shared.errors import ArtDreamError
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.monitoring.usage_counts import delete_old_usage_counts, persist_usage_counts
from shared.runtime_settings import RuntimeSettings
from shared.settings import Settings
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Seconds between two searches for dreams that have to be deleted, and between two writes of the usage counts.
CLEANUP_INTERVAL_SECONDS = 60.0

#: Passes after which incomplete objects are deleted from the store, and those after which old usage counts are.
MINUTES_PER_HOUR, MINUTES_PER_DAY = 60, 24 * 60

#: Seconds between two heartbeats of this display.
HEARTBEAT_INTERVAL_SECONDS = 5.0

#: Seconds after which the runtime settings in broker and store are compared, also if no change is known.
SETTINGS_SYNC_INTERVAL_SECONDS = 5.0


class Housekeeping:
    """Keeps the dream index complete, the display registered, and the runtime settings in broker and store equal."""

    def __init__(
        self,
        settings: Settings,
        broker: BrokerPool,
        dream_index: DreamIndex,
        moderation: Moderation,
        on_load: Callable[[], None],
        on_settings: Callable[[RuntimeSettings], None],
    ) -> None:
        """on_load: called in the event loop when dreams were loaded. on_settings: with the settings that were read."""
        self._settings = settings
        self._broker = broker
        self._dream_index = dream_index
        self._moderation = moderation
        self._on_load = on_load
        self._on_settings = on_settings
        #: Set as soon as the store has been tried once.
        self.store_tried = asyncio.Event()
        #: Set when the store has to be scanned: at the start, and when events may have been missed.
        self.store_scan_needed = asyncio.Event()
        self.store_scan_needed.set()
        #: Set as soon as broker, and store if the broker was wiped, have been asked for the runtime settings once.
        self.settings_tried = asyncio.Event()
        self._settings_sync_needed = asyncio.Event()
        self._settings_lock = asyncio.Lock()  # what was read first is applied first

    async def load_from_store(self) -> None:
        """Add the dreams that the store holds whenever a scan is needed; retry while the store is unavailable."""
        loop, delay = asyncio.get_running_loop(), MIN_RETRY_SECONDS

        def report_update() -> None:
            self.store_tried.set()
            self._on_load()

        def schedule_report() -> None:
            loop.call_soon_threadsafe(report_update)

        def load() -> None:
            self._dream_index.load_from_store(Store(self._settings.store), self._are_held, schedule_report)
            with suppress(ArtDreamError):  # a broker that is unavailable now is restored when it is back
                self._moderation.restore_visibility()

        while True:
            await self.store_scan_needed.wait()
            self.store_scan_needed.clear()
            try:
                await run_in_thread(load)
                delay = MIN_RETRY_SECONDS
                continue
            except ArtDreamError as error:
                logger.debug("the store is unavailable: %s", error)
                self.store_scan_needed.set()
            finally:
                self.store_tried.set()
            await asyncio.sleep(delay)
            delay = min(2 * delay, MAX_RETRY_SECONDS)

    async def send_heartbeats(self) -> None:
        """Keep this display registered."""
        name, started_at = f"{socket.gethostname()}:{self._settings.port}", time.time()
        url = f"http://{self._settings.host}:{self._settings.port}"

        def send_heartbeat() -> None:
            registry = HeartbeatRegistry(self._broker.get())
            registry.announce(Component.DISPLAY, name, "showing", url, since=started_at)

        while True:
            with suppress(*BROKER_ERRORS):
                await run_in_thread(send_heartbeat)
            await asyncio.sleep(HEARTBEAT_INTERVAL_SECONDS)

    async def persist_usage_counts(self) -> None:
        """Write the usage counts to the store once a minute, and delete old ones: a wiped broker loses no more."""

        def persist(*, delete_old: bool) -> None:
            client, store = self._broker.get(), Store(self._settings.store)
            persist_usage_counts(client, store)
            if delete_old:
                delete_old_usage_counts(client, store, self._settings.counts_days)

        for number in itertools.count():
            try:
                await run_in_thread(lambda: persist(delete_old=number % MINUTES_PER_DAY == 0))  # noqa: B023  awaited
            except BROKER_ERRORS as error:
                logger.debug("the usage counts were not persisted: %s", error)
            await asyncio.sleep(CLEANUP_INTERVAL_SECONDS)

    async def clean_up(self) -> None:
        """Delete what has to be deleted, once a minute, and incomplete objects once an hour."""
        for number in itertools.count():
            await asyncio.sleep(CLEANUP_INTERVAL_SECONDS)
            tasks: list[Callable[[], object]] = [self._moderation.clean_up]
            if number % MINUTES_PER_HOUR == 0:
                tasks.append(lambda: Store(self._settings.store).delete_incomplete())
            for task in tasks:
                try:
                    await run_in_thread(task)
                except ArtDreamError as error:
                    logger.debug("nothing was tidied: %s", error)

    async def apply_runtime_settings(self) -> None:
        """Apply the runtime settings of the broker, and have them persisted; do not wait for the store.

        Those of a wiped broker are applied as soon as they are restored. Raises ArtDreamError.
        """
        async with self._settings_lock:
            if runtime_settings := await run_in_thread(self._moderation.find_settings):
                self._on_settings(runtime_settings)
        self._settings_sync_needed.set()

    async def sync_runtime_settings(self) -> None:
        """Keep the runtime settings in broker and store equal, and apply those that a wiped broker gets back.

        At once when they have changed, and every few seconds: a broker that was wiped announces nothing, and what the
        store did not take is tried again.
        """
        moderation = self._moderation
        while True:
            with suppress(*BROKER_ERRORS):  # the previous values stay
                await run_in_thread(moderation.restore_settings)
                await self.apply_runtime_settings()
            self.settings_tried.set()
            self._settings_sync_needed.clear()
            for write in (moderation.publish_appearance, moderation.persist_settings):
                with suppress(*BROKER_ERRORS):
                    await run_in_thread(write)
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTINGS_SYNC_INTERVAL_SECONDS):
                    await self._settings_sync_needed.wait()

    def _are_held(self, job_ids: Sequence[str]) -> list[bool]:
        """Return which dreams are not visible; while the broker is unavailable, their sidecars decide."""
        try:
            return JobTable(self._broker.get()).are_not_visible(job_ids)
        except (RedisError, ArtDreamError):
            return [False] * len(job_ids)
