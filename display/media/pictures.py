"""Pictures: read from the store, through a disk cache if the store is remote."""

import asyncio
import heapq
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager, suppress

from display.media.disk_cache import CACHE_FOLDER, DiskCache
from display.web.supervision import run_supervised
from display.web.threads import run_in_thread
from shared.jobs.events import Completed
from shared.settings import Settings
from shared.storage.object_names import (
    DREAMS_PREFIX,
    clip_name,
    dream_name,
    gif_name,
    is_frame,
    photo_name,
    preview_name,
    square_name,
    thumb_name,
    working_photo_name,
    zoom_name,
)
from shared.storage.store import Store, StoreError

#: Seconds before each retry of a prefetch that found no object: a clip is still being encoded when its dream completes.
PREFETCH_RETRY_SECONDS = (5.0, 15.0, 60.0, 300.0)

#: Seconds between two attempts while the store is unavailable.
_STORE_RETRY_SECONDS = 10.0

#: Pending prefetches of new pictures, and retries. Viewers request the newest dreams: their pictures are fetched first,
#: and if there are more, the oldest are dropped.
_MAX_PREFETCHES = 1_000

#: Frames in the memory cache: those of a few running jobs. All viewers request a frame at once, and only once.
_MAX_CACHED_FRAMES = 32


class Pictures:
    """Reads pictures, and prefetches those of completed dreams into the cache. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Open the store. Raises ArtDreamError if it cannot be opened."""
        #: The store, without the cache.
        self.store = Store(settings.store)
        # A store that is a local folder needs no cache.
        use_cache = not settings.store.startswith("file:") and settings.cache_mb > 0
        self._cache = DiskCache(settings.data / CACHE_FOLDER, 1_000_000 * settings.cache_mb) if use_cache else None
        self._prefetch_names: deque[str] = deque(maxlen=_MAX_PREFETCHES)  # the next one last
        #: A heap of (monotonic time of the next attempt, number of attempts so far, object name).
        self._retries: list[tuple[float, int, str]] = []
        self._prefetch_requested = asyncio.Event()
        self._frames: OrderedDict[str, bytes] = OrderedDict()  # oldest first
        self._fetches: dict[str, asyncio.Task[bytes | None]] = {}
        self._unwritten: dict[str, bytes] = {}  # fetched pictures, on their way into the cache
        self._cache_writes: set[asyncio.Task[None]] = set()

    async def get(self, name: str) -> bytes | None:
        """Return a picture's bytes, None if there is none. Raises StoreError if the store is unavailable.

        A cached picture is never requested from the store, which may be slow or unavailable: the content of an object
        name does not change.
        """
        cache = self._cache
        if cache is None:
            return await self.store.get_async(name)
        if (data := self._frames.get(name) or self._unwritten.get(name)) is not None:
            return data
        if name in cache and (cached := await run_in_thread(lambda: cache.get(name))) is not None:
            return cached
        # All viewers request a frame at once, and a dream while it is being prefetched: they share one transfer.
        if (fetch := self._fetches.get(name)) is None:
            fetch = self._fetches[name] = asyncio.create_task(self._fetch_and_cache(cache, name))
            fetch.add_done_callback(lambda _: self._fetches.pop(name))
        return await asyncio.shield(fetch)

    async def get_size(self, name: str) -> int | None:
        """Return the size of a picture in bytes, None if there is none. Raises StoreError.

        One that can be cached is then in the cache, or on its way there.
        """
        if self._cache is None:
            return await self.store.get_size_async(name)
        if (size := self._cache.get_size(name)) is not None:
            return size
        data = await self.get(name)
        return None if data is None else len(data)

    async def get_range(self, name: str, begin: int, end: int) -> bytes | None:
        """Return the bytes of a picture from `begin` to before `end`, which lie within it, None if there is none.

        Raises StoreError.
        """
        cache = self._cache
        if cache is None:
            return await self.store.get_range_async(name, begin, end)
        if name in cache and (cached := await run_in_thread(lambda: cache.get_range(name, begin, end))) is not None:
            return cached
        data = await self.get(name)
        return None if data is None else data[begin:end]

    async def _fetch_and_cache(self, cache: DiskCache, name: str) -> bytes | None:
        generation = cache.generation
        data = await self.store.get_async(name)
        if data is not None and is_frame(name):
            if generation == cache.generation:
                self._frames[name] = data
            if len(self._frames) > _MAX_CACHED_FRAMES:
                self._frames.popitem(last=False)
        elif data is not None:
            if generation == cache.generation:
                self._unwritten[name] = data
            write = asyncio.create_task(run_in_thread(lambda: cache.put(name, data, generation=generation)))
            self._cache_writes.add(write)  # the answer does not wait for the disk
            write.add_done_callback(self._cache_writes.discard)
            write.add_done_callback(lambda _: self._unwritten.pop(name, None))
        return data

    def remove_dream(self, job_id: str, photo_id: str) -> None:
        """Remove a deleted dream and its photo from the cache. Another dream of that photo fetches it again."""
        if self._cache is not None:
            name_functions = (dream_name, thumb_name, clip_name, preview_name, zoom_name, gif_name, square_name)
            photo_names = (photo_name(photo_id), working_photo_name(photo_id))
            self._remove(self._cache, (*photo_names, *(name_of(job_id) for name_of in name_functions)))

    def remove_unused(self, is_deleted: Callable[[str], bool], is_photo_used: Callable[[str], bool]) -> None:
        """Remove all dreams that were deleted, by their job ids, and all photos that are not used, from the cache.

        is_photo_used: is passed the object name of the photo in full.
        """

        def is_unused(name: str) -> bool:
            folder, _, rest = name.partition("/")
            if f"{folder}/" == DREAMS_PREFIX:
                return is_deleted(rest.partition("/")[0])
            return folder == "photos" and not is_photo_used(photo_name(rest.partition(".")[0]))

        if self._cache is not None:
            # A fetch in progress would cache its picture afterwards.
            names = {*self._cache.list_names(), *self._unwritten, *self._fetches}
            self._remove(self._cache, [name for name in names if is_unused(name)])

    def _remove(self, cache: DiskCache, names: Collection[str]) -> None:
        for name in names:
            cache.remove(name)
            self._unwritten.pop(name, None)
        if names:
            self._frames.clear()

    def prefetch(self, event: Completed) -> None:
        """Schedule the pictures of a completed dream to be fetched into the cache."""
        if self._cache is None:
            return
        self._prefetch_names.extend((clip_name(event.job_id), event.photo, thumb_name(event.job_id), event.dream))
        self._prefetch_requested.set()

    def run(self) -> AbstractAsyncContextManager[None]:
        """Return a context while which scheduled prefetches are processed."""
        return run_supervised(self._run_prefetches)

    async def _run_prefetches(self) -> None:
        while True:
            self._prefetch_requested.clear()
            if self._prefetch_names:
                attempts, name = 0, self._prefetch_names.pop()
            elif self._retries and self._retries[0][0] <= time.monotonic():
                _, attempts, name = heapq.heappop(self._retries)
            else:
                wait = self._retries[0][0] - time.monotonic() if self._retries else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._prefetch_requested.wait()
                continue
            try:
                if await self.get(name) is None and attempts < len(PREFETCH_RETRY_SECONDS):
                    self._retry_later(name, attempts + 1, PREFETCH_RETRY_SECONDS[attempts])
            except StoreError:
                self._retry_later(name, attempts, _STORE_RETRY_SECONDS)

    def _retry_later(self, name: str, attempts: int, seconds: float) -> None:
        if len(self._retries) < _MAX_PREFETCHES:
            heapq.heappush(self._retries, (time.monotonic() + seconds, attempts, name))
