"""The clip generator: makes the clips of finished dreams in the background, without delaying the next dream."""

import contextlib
import io
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.errors import ArtDreamError
from shared.recipe.canvas import Canvas, scale_to_long_side
from shared.storage.deletion import delete_dream_objects, has_tombstone
from shared.storage.object_names import clip_name, frames_prefix, preview_name, sidecar_name, zoom_name
from shared.storage.sidecar import Sidecar
from shared.storage.store import Store
from worker.clips.animations import Morph, Zoom
from worker.clips.video_encoder import Animation, encode_mp4, encode_webp

logger = logging.getLogger(__name__)

#: Jobs that may wait for their clips; if more complete, the one that has waited longest gets none.
MAX_QUEUED_JOBS = 200

#: Pictures of a job that its clips show; of more frames, an even selection. Bounds the memory.
MAX_PICTURES = 12

#: Long side of these pictures in pixels: the most that a clip, the zoom, makes use of.
PICTURE_LONG_SIDE = 1350

#: Seconds that one clip pauses for dreams, in total, before it runs concurrently with them.
MAX_PAUSE_SECONDS = 60.0

#: Seconds that an ending process gives the current clip to finish.
CLOSE_TIMEOUT_SECONDS = 2.0

#: Niceness of the thread: about a tenth of a contended core. At 19 a busy worker would never finish a clip.
NICENESS = 10


class ClipGenerator:
    """Makes the clips of completed jobs, one after the other, in a thread of its own.

    max_pause_seconds: seconds that one clip pauses for dreams, in total.

    The thread pauses while the process computes a dream. A clip that cannot be made, because the store is unavailable
    or a picture is damaged, is logged in one line and raises nothing. Jobs that are still queued when the process ends
    get no clips: clips are best effort.
    """

    def __init__(self, store: Store, *, max_pause_seconds: float = MAX_PAUSE_SECONDS) -> None:
        self._store = store
        self._max_pause_seconds = max_pause_seconds
        self._condition = threading.Condition()
        self._queue: deque[str] = deque(maxlen=MAX_QUEUED_JOBS)
        self._active_dreams = 0
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self._thread.start()

    def enqueue(self, job_id: str) -> None:
        """Queue a completed job for its clips, and return at once."""
        with self._condition:
            self._queue.append(job_id)
            self._condition.notify_all()

    @contextlib.contextmanager
    def pause(self) -> Iterator[None]:
        """Pause the thread while the block computes a dream."""
        with self._condition:
            self._active_dreams += 1
        try:
            yield
        finally:
            with self._condition:
                self._active_dreams -= 1
                self._condition.notify_all()

    def close(self, timeout: float = CLOSE_TIMEOUT_SECONDS) -> bool:
        """Stop the thread, and return whether it has ended.

        timeout: seconds that the current clip may still take; then it is abandoned before its next picture. Clips of
        queued jobs are not made.
        """
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._thread.join(timeout)
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
        self._thread.join(CLOSE_TIMEOUT_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        _lower_thread_priority()
        while job_id := self._wait_for_job():
            try:
                self._generate_clips(job_id)
            except _AbortedError:
                return
            except ArtDreamError as error:
                logger.warning("job %s has no clips: %s", job_id, error)
            except Exception:
                logger.exception("job %s has no clips: they met a fault in the worker", job_id)

    def _wait_for_job(self) -> str | None:
        with self._condition:
            self._condition.wait_for(lambda: self._queue or self._closing)
            return None if self._closing else self._queue.popleft()

    def _generate_clips(self, job_id: str) -> None:
        """Make and store the three clips of a job. Raises ArtDreamError if the store or a picture prevents it."""
        started_at = time.perf_counter()
        pictures = self._load_pictures(job_id, self._make_throttle())
        for name, encode, animation in (
            (clip_name(job_id), encode_mp4, Morph(pictures)),
            (preview_name(job_id), encode_webp, Morph(pictures, rate=12, long_side=480)),
            (zoom_name(job_id), encode_mp4, Zoom(pictures)),
        ):
            data = encode(_ThrottledAnimation(animation, self._make_throttle()))
            if has_tombstone(self._store, job_id):
                break
            self._store.put(name, data)
        if has_tombstone(self._store, job_id):  # perhaps since the last check
            delete_dream_objects(self._store, job_id)
            return
        logger.info("job %s has its clips, after %.1f s", job_id, time.perf_counter() - started_at)

    def _load_pictures(self, job_id: str, throttle: Callable[[], None]) -> list[NDArray[np.uint8]]:
        """Load the photo, the available frames and the dream, all of one size; at most MAX_PICTURES of them."""
        throttle()
        try:
            sidecar = Sidecar.model_validate_json(self._read_object(sidecar_name(job_id)))
        except ValueError as error:
            raise ArtDreamError(f"{sidecar_name(job_id)} in the store is damaged.") from error
        size = scale_to_long_side(*sidecar.size, min(PICTURE_LONG_SIDE, max(sidecar.size)))
        frames = [entry.name for entry in self._store.list_objects(frames_prefix(job_id))]
        names = [sidecar.photo, *sorted(frames, key=lambda name: (len(name), name)), sidecar.dream]
        pictures = []
        for index in np.linspace(0, len(names) - 1, min(MAX_PICTURES, len(names))).round().astype(int):
            throttle()
            pictures.append(self._load_picture(names[index], size))
        return pictures

    def _load_picture(self, name: str, size: Canvas) -> NDArray[np.uint8]:
        """Load a picture and scale it: (height, width, 3) uint8."""
        try:
            with Image.open(io.BytesIO(self._read_object(name)), formats=["JPEG"]) as image:
                return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        except OSError as error:
            raise ArtDreamError(f"The picture {name} in the store is damaged.") from error

    def _read_object(self, name: str) -> bytes:
        data = self._store.get(name)
        if data is None:
            raise ArtDreamError(f"{name} is not in the store.")
        return data

    def _make_throttle(self) -> Callable[[], None]:
        """Return a function for one clip to call before each picture.

        The function blocks while a dream is computed, until the clip has used up its pause. It raises _AbortedError
        when the process ends.
        """
        remaining = self._max_pause_seconds

        def throttle() -> None:
            nonlocal remaining
            with self._condition:
                paused_at = time.monotonic()
                self._condition.wait_for(lambda: self._stopped or not self._active_dreams, timeout=max(0.0, remaining))
                remaining -= time.monotonic() - paused_at
                if self._stopped:
                    raise _AbortedError

        return throttle


class _AbortedError(Exception):
    """The process ends, and the current clip is abandoned."""


class _ThrottledAnimation:
    """An animation that calls the throttle before each picture."""

    def __init__(self, animation: Animation, throttle: Callable[[], None]) -> None:
        self.size, self.rate = animation.size, animation.rate
        self._animation, self._throttle = animation, throttle

    def __len__(self) -> int:
        return len(self._animation)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for picture in self._animation:
            self._throttle()
            yield picture


def _lower_thread_priority() -> None:
    """Lower the priority of the calling thread, on systems where threads have one (Linux)."""
    if sys.platform == "linux":
        thread_id = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread_id, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread_id)))
