"""The pictures: what the store holds for the eye, from this machine's disk where the store is elsewhere."""

import asyncio
import heapq
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from display.media.disk_cache import FOLDER, Cache
from display.web.threads import aside
from shared.jobs.events import Completed
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, is_frame, photo_name, preview_name, thumb_name, zoom_name
from shared.storage.store import Store, StoreError

#: Seconds after which a picture that is not there yet, as a clip that is being made, is asked for again.
LATER = (5.0, 15.0, 60.0, 300.0)

#: Seconds between two tries while the store is away.
_AWAY = 10.0

#: Pictures that wait to be fetched; the newest are wanted first, and beyond these the oldest are left out.
_WANTED = 1_000


#: Frames that are kept, in memory, for all who watch: those of a few dreams at a time, each wanted for a moment.
_FRAMES = 32


class Pictures:
    """Reads pictures, and brings those of finished dreams here before anybody asks. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where the store cannot be opened."""
        #: The store itself.
        self.store = Store(settings.store)
        # A folder needs no second one.
        elsewhere = not settings.store.startswith("file:") and settings.cache_mb > 0
        self._cache = Cache(settings.data / FOLDER, 1_000_000 * settings.cache_mb) if elsewhere else None
        self._wanted: list[tuple[float, int, str]] = []  # when, after how many tries, what; a heap
        self._called = asyncio.Event()
        self._frames: OrderedDict[str, bytes] = OrderedDict()  # the oldest first
        self._coming: dict[str, asyncio.Task[bytes | None]] = {}
        self._keeping: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> bytes | None:
        """Return a picture, None where there is none. Raises StoreError.

        What is here is not asked of the store, which may be slow, or away: a name fixes its pixels.
        """
        cache = self._cache
        if cache is None:
            return await self.store.get_async(name)
        if name in self._frames:
            return self._frames[name]
        if name in cache and (kept := await aside(lambda: cache.get(name))) is not None:
            return kept
        # All walls ask for a frame at once, and for a dream while it is being brought here: the line carries it once.
        if (coming := self._coming.get(name)) is None:
            coming = self._coming[name] = asyncio.create_task(self._bring(cache, name))
            coming.add_done_callback(lambda _: self._coming.pop(name))
        return await asyncio.shield(coming)

    async def _bring(self, cache: Cache, name: str) -> bytes | None:
        forgotten = cache.forgotten
        data = await self.store.get_async(name)
        if data is not None and is_frame(name):
            if forgotten == cache.forgotten:
                self._frames[name] = data
            if len(self._frames) > _FRAMES:
                self._frames.popitem(last=False)
        elif data is not None:
            keeping = asyncio.create_task(aside(lambda: cache.put(name, data, forgotten=forgotten)))
            self._keeping.add(keeping)  # nobody waits for the disk
            keeping.add_done_callback(self._keeping.discard)
        return data

    def forget(self, job_id: str, photo_id: str) -> None:
        """Keep nothing of a deleted dream; a photo that another dream needs is fetched again."""
        if self._cache is not None:
            named = (dream_name, thumb_name, clip_name, preview_name, zoom_name)
            for name in (photo_name(photo_id), *(named(job_id) for named in named)):
                self._cache.forget(name)
            self._frames.clear()

    def expect(self, event: Completed) -> None:
        """Bring the pictures of a finished dream here."""
        if self._cache is None:
            return
        for name in (event.dream, thumb_name(event.job_id), event.photo, clip_name(event.job_id)):
            heapq.heappush(self._wanted, (time.monotonic(), 0, name))
        if len(self._wanted) > _WANTED:
            self._wanted = sorted(self._wanted)[-_WANTED:]  # in order it is a heap still
        self._called.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetch what is expected while the context lasts."""
        task = asyncio.create_task(self._fetch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _fetch(self) -> None:
        while True:
            self._called.clear()
            wait = self._wanted[0][0] - time.monotonic() if self._wanted else None
            if wait is None or wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._called.wait()
                except TimeoutError:
                    pass
                continue
            _, tries, name = heapq.heappop(self._wanted)
            try:
                if await self.get(name) is None and tries < len(LATER):
                    heapq.heappush(self._wanted, (time.monotonic() + LATER[tries], tries + 1, name))
            except StoreError:
                heapq.heappush(self._wanted, (time.monotonic() + _AWAY, tries, name))
