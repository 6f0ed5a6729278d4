"""The pictures: what the store holds for the eye, from this machine's disk where the store is elsewhere."""

import asyncio
import heapq
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from display.media.disk_cache import CACHE_FOLDER, DiskCache
from display.web.threads import run_in_thread
from shared.jobs.events import Completed
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, is_frame, photo_name, preview_name, thumb_name, zoom_name
from shared.storage.store import Store, StoreError

#: Seconds after which a picture that is not there yet, as a clip that is being made, is asked for again.
PREFETCH_RETRY_SECONDS = (5.0, 15.0, 60.0, 300.0)

#: Seconds between two tries while the store is away.
_STORE_RETRY_SECONDS = 10.0

#: Pictures that wait to be fetched; the newest are wanted first, and beyond these the oldest are left out.
_MAX_PREFETCHES = 1_000


#: Frames that are kept, in memory, for all who watch: those of a few dreams at a time, each wanted for a moment.
_MAX_CACHED_FRAMES = 32


class Pictures:
    """Reads pictures, and brings those of finished dreams here before anybody asks. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where the store cannot be opened."""
        #: The store itself.
        self.store = Store(settings.store)
        # A folder needs no second one.
        elsewhere = not settings.store.startswith("file:") and settings.cache_mb > 0
        self._cache = DiskCache(settings.data / CACHE_FOLDER, 1_000_000 * settings.cache_mb) if elsewhere else None
        self._prefetch_heap: list[tuple[float, int, str]] = []  # when, after how many tries, what; a heap
        self._prefetch_requested = asyncio.Event()
        self._frames: OrderedDict[str, bytes] = OrderedDict()  # the oldest first
        self._fetches: dict[str, asyncio.Task[bytes | None]] = {}
        self._cache_writes: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> bytes | None:
        """Return a picture, None where there is none. Raises StoreError.

        What is here is not asked of the store, which may be slow, or away: a name fixes its pixels.
        """
        cache = self._cache
        if cache is None:
            return await self.store.get_async(name)
        if name in self._frames:
            return self._frames[name]
        if name in cache and (kept := await run_in_thread(lambda: cache.get(name))) is not None:
            return kept
        # All walls ask for a frame at once, and for a dream while it is being brought here: the line carries it once.
        if (coming := self._fetches.get(name)) is None:
            coming = self._fetches[name] = asyncio.create_task(self._fetch_and_cache(cache, name))
            coming.add_done_callback(lambda _: self._fetches.pop(name))
        return await asyncio.shield(coming)

    async def _fetch_and_cache(self, cache: DiskCache, name: str) -> bytes | None:
        forgotten = cache.generation
        data = await self.store.get_async(name)
        if data is not None and is_frame(name):
            if forgotten == cache.generation:
                self._frames[name] = data
            if len(self._frames) > _MAX_CACHED_FRAMES:
                self._frames.popitem(last=False)
        elif data is not None:
            keeping = asyncio.create_task(run_in_thread(lambda: cache.put(name, data, generation=forgotten)))
            self._cache_writes.add(keeping)  # nobody waits for the disk
            keeping.add_done_callback(self._cache_writes.discard)
        return data

    def remove_dream(self, job_id: str, photo_id: str) -> None:
        """Keep nothing of a deleted dream; a photo that another dream needs is fetched again."""
        if self._cache is not None:
            named = (dream_name, thumb_name, clip_name, preview_name, zoom_name)
            for name in (photo_name(photo_id), *(named(job_id) for named in named)):
                self._cache.remove(name)
            self._frames.clear()

    def prefetch(self, event: Completed) -> None:
        """Bring the pictures of a finished dream here."""
        if self._cache is None:
            return
        for name in (event.dream, thumb_name(event.job_id), event.photo, clip_name(event.job_id)):
            heapq.heappush(self._prefetch_heap, (time.monotonic(), 0, name))
        if len(self._prefetch_heap) > _MAX_PREFETCHES:
            self._prefetch_heap = sorted(self._prefetch_heap)[-_MAX_PREFETCHES:]  # in order it is a heap still
        self._prefetch_requested.set()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Fetch what is expected while the context lasts."""
        task = asyncio.create_task(self._run_prefetches())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run_prefetches(self) -> None:
        while True:
            self._prefetch_requested.clear()
            wait = self._prefetch_heap[0][0] - time.monotonic() if self._prefetch_heap else None
            if wait is None or wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._prefetch_requested.wait()
                except TimeoutError:
                    pass
                continue
            _, tries, name = heapq.heappop(self._prefetch_heap)
            try:
                if await self.get(name) is None and tries < len(PREFETCH_RETRY_SECONDS):
                    heapq.heappush(
                        self._prefetch_heap, (time.monotonic() + PREFETCH_RETRY_SECONDS[tries], tries + 1, name)
                    )
            except StoreError:
                heapq.heappush(self._prefetch_heap, (time.monotonic() + _STORE_RETRY_SECONDS, tries, name))
