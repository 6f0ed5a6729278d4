"""Storage usage: objects and bytes in the store by kind, counted in the background, so that reading it is free."""

import asyncio
import logging
import re
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from display.web.supervision import run_supervised
from display.web.threads import run_in_thread
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: Seconds between two counts. A bucket lists a thousand names per request and charges for each request: 2,000 dreams
#: take about forty.
COUNT_INTERVAL_SECONDS = 60.0

#: The pause after a count is at least this many times its duration: a store that is slow to list is listed less often.
MIN_PAUSE_FACTOR = 100

#: Seconds before the next attempt if the store was unavailable.
STORE_RETRY_SECONDS = 30.0

#: Kind → pattern at the start of an object name; the first match counts.
_KIND_PATTERNS = {
    "photos": re.compile("photos/"),
    "frames": re.compile("dreams/[^/]+/frames/"),
    "clips": re.compile(r"dreams/[^/]+/[^/]+\.(gif|mp4|webp)$"),
    "dreams": re.compile("dreams/"),
    "references": re.compile("references/"),
    "networks": re.compile("networks/"),
    "other": re.compile(""),
}


@dataclass(frozen=True)
class KindUsage:
    """Storage used by one kind of object. size: bytes."""

    size: int = 0
    objects: int = 0


@dataclass(frozen=True)
class UsageSnapshot:
    """Storage usage by kind, counted at a time in epoch seconds."""

    at: float
    kinds: dict[str, KindUsage]

    @property
    def size(self) -> int:
        """Bytes in total."""
        return sum(usage.size for usage in self.kinds.values())

    @property
    def objects(self) -> int:
        """Number of objects in total."""
        return sum(usage.objects for usage in self.kinds.values())


class StorageUsage:
    """Counts the store's objects periodically."""

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The last complete count, None before the first.
        self.latest: UsageSnapshot | None = None

    def run(self) -> AbstractAsyncContextManager[None]:
        """Return a context while which the objects are counted periodically."""
        return run_supervised(self._count_periodically)

    def count(self) -> None:
        """List all objects once and update `latest`. Raises StoreError if the store is unavailable.

        Holds one page of the listing in memory at a time.
        """
        kinds: dict[str, KindUsage] = {}
        for entry in self._store.list_objects(""):
            kind = next(kind for kind, pattern in _KIND_PATTERNS.items() if pattern.match(entry.name))
            usage = kinds.get(kind, KindUsage())
            kinds[kind] = KindUsage(usage.size + entry.size, usage.objects + 1)
        self.latest = UsageSnapshot(time.time(), dict(sorted(kinds.items(), key=lambda item: -item[1].size)))

    async def _count_periodically(self) -> None:
        while True:
            started_at = time.monotonic()
            try:
                await run_in_thread(self.count)
                pause = max(COUNT_INTERVAL_SECONDS, MIN_PAUSE_FACTOR * (time.monotonic() - started_at))
            except StoreError as error:
                logger.debug("the store was not counted: %s", error)
                pause = STORE_RETRY_SECONDS
            await asyncio.sleep(pause)
