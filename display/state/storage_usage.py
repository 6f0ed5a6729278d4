"""The tally: how much lies in the store, counted beside everything else, so that looking at it costs nothing."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from display.web.threads import run_in_thread
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: Seconds between two counts. A bucket answers a listing with a thousand names at a time, and charges for each answer:
#: 2,000 dreams are some forty.
COUNT_INTERVAL_SECONDS = 60.0

#: So many times what the last count took is waited at least: a store that is slow to list is listed less often.
MIN_PAUSE_FACTOR = 100

#: Seconds after which a store that was away is asked again.
STORE_RETRY_SECONDS = 30.0

#: What a name begins with → what it is; the first that fits.
_KIND_PATTERNS = {
    "photos": re.compile("photos/"),
    "frames": re.compile("dreams/[^/]+/frames/"),
    "clips": re.compile(r"dreams/[^/]+/[^/]+\.(mp4|webp)$"),
    "dreams": re.compile("dreams/"),
    "references": re.compile("references/"),
    "networks": re.compile("networks/"),
    "other": re.compile(""),
}


@dataclass(frozen=True)
class KindUsage:
    """How much there is of something. size: bytes."""

    size: int = 0
    objects: int = 0


@dataclass(frozen=True)
class UsageSnapshot:
    """What a store held, by kind, at a time in epoch seconds."""

    at: float
    kinds: dict[str, KindUsage]

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(held.size for held in self.kinds.values())

    @property
    def objects(self) -> int:
        """Objects of every kind."""
        return sum(held.objects for held in self.kinds.values())


class StorageUsage:
    """Counts now and then."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The last count; None before the first.
        self.latest: UsageSnapshot | None = None

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Count while the context lasts."""
        task = asyncio.create_task(self._count_periodically())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def count(self) -> None:
        """Go through the names of everything once, in the memory of one page of them. Raises StoreError."""
        kinds: dict[str, KindUsage] = {}
        for entry in self._store.list_objects(""):
            kind = next(kind for kind, fitting in _KIND_PATTERNS.items() if fitting.match(entry.name))
            held = kinds.get(kind, KindUsage())
            kinds[kind] = KindUsage(held.size + entry.size, held.objects + 1)
        self.latest = UsageSnapshot(time.time(), dict(sorted(kinds.items(), key=lambda item: -item[1].size)))

    async def _count_periodically(self) -> None:
        while True:
            began = time.monotonic()
            try:
                await run_in_thread(self.count)
                pause = max(COUNT_INTERVAL_SECONDS, MIN_PAUSE_FACTOR * (time.monotonic() - began))
            except StoreError as error:
                logger.debug("the store was not counted: %s", error)
                pause = STORE_RETRY_SECONDS
            await asyncio.sleep(pause)
