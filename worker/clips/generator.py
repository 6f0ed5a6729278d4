"""The clips of finished dreams: made beside the next dream, at a low priority, never in its way."""

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
from worker.clips.video_encoder import Film, mp4, webp

log = logging.getLogger(__name__)

#: Jobs that wait for their clips; where more complete, the one that has waited longest goes without.
QUEUE = 200

#: Pictures of a job that its clips go through; of more frames, so many are taken evenly. They bound the memory.
PICTURES = 12

#: The long side of these pictures: what the finer of the clips, the zoom, makes use of.
LONG_SIDE = 1350

#: Seconds that one clip stands aside for dreams before it takes its share of the processor beside them.
PATIENCE = 60.0

#: Seconds that a process which ends still gives the clip that is being made.
FAREWELL = 2.0

#: Niceness of the thread: about a tenth of a core that is wanted elsewhere. At 19 a busy worker would never finish one.
NICE = 10


class ClipMaker:
    """Makes the clips of completed jobs, one after the other, in a thread of its own.

    It stands aside while a dream goes on in the process. What keeps a clip from being made, a store that is away or a
    picture that is damaged, is logged in one line and never raised. Jobs that still wait when the process ends go
    without clips: they are a pleasure, not a promise.
    """

    def __init__(self, store: Store, *, patience: float = PATIENCE) -> None:
        self._store = store
        self._patience = patience
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque(maxlen=QUEUE)
        self._dreams = 0
        self._closing = self._stopped = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)
        self._thread.start()

    def offer(self, job_id: str) -> None:
        """Have the clips of a completed job made, and return at once."""
        with self._changed:
            self._waiting.append(job_id)
            self._changed.notify_all()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the processor to what is done meanwhile: a dream."""
        with self._changed:
            self._dreams += 1
        try:
            yield
        finally:
            with self._changed:
                self._dreams -= 1
                self._changed.notify_all()

    def close(self, farewell: float = FAREWELL) -> bool:
        """Take nothing more, and stop; True when the thread has ended.

        farewell: seconds that the clip in hand may still take to be finished; then it is given up, which takes as long
        as one of its pictures.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(farewell)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(FAREWELL)
        return not self._thread.is_alive()

    def _run(self) -> None:
        _yield_processor()
        while job_id := self._next():
            try:
                self._make(job_id)
            except _GivenUpError:
                return
            except ArtDreamError as error:
                log.warning("job %s has no clips: %s", job_id, error)
            except Exception:
                log.exception("job %s has no clips: they met a fault in the worker", job_id)

    def _next(self) -> str | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return None if self._closing else self._waiting.popleft()

    def _make(self, job_id: str) -> None:
        """Make the three clips of a job. Raises ArtDreamError where that cannot be."""
        started = time.perf_counter()
        pictures = self._pictures(job_id, self._pace())
        for name, encode, film in (
            (clip_name(job_id), mp4, Morph(pictures)),
            (preview_name(job_id), webp, Morph(pictures, rate=12, long_side=480)),
            (zoom_name(job_id), mp4, Zoom(pictures)),
        ):
            data = encode(_Paced(film, self._pace()))
            if has_tombstone(self._store, job_id):
                break
            self._store.put(name, data)
        if has_tombstone(self._store, job_id):  # perhaps since the last look
            delete_dream_objects(self._store, job_id)
            return
        log.info("job %s has its clips, after %.1f s", job_id, time.perf_counter() - started)

    def _pictures(self, job_id: str, pace: Callable[[], None]) -> list[NDArray[np.uint8]]:
        """Read the photo, the frames that there are, and the dream, all of one size, at most PICTURES of them."""
        pace()
        try:
            sidecar = Sidecar.model_validate_json(self._got(sidecar_name(job_id)))
        except ValueError as error:
            raise ArtDreamError(f"{sidecar_name(job_id)} in the store is damaged.") from error
        size = scale_to_long_side(*sidecar.size, min(LONG_SIDE, max(sidecar.size)))
        frames = [entry.name for entry in self._store.list_objects(frames_prefix(job_id))]
        names = [sidecar.photo, *sorted(frames, key=lambda name: (len(name), name)), sidecar.dream]
        pictures = []
        for index in np.linspace(0, len(names) - 1, min(PICTURES, len(names))).round().astype(int):
            pace()
            pictures.append(self._picture(names[index], size))
        return pictures

    def _picture(self, name: str, size: Canvas) -> NDArray[np.uint8]:
        """Read a picture and scale it: (height, width, 3)."""
        try:
            with Image.open(io.BytesIO(self._got(name)), formats=["JPEG"]) as image:
                return np.asarray(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
        except OSError as error:
            raise ArtDreamError(f"The picture {name} in the store is damaged.") from error

    def _got(self, name: str) -> bytes:
        data = self._store.get(name)
        if data is None:
            raise ArtDreamError(f"{name} is not in the store.")
        return data

    def _pace(self) -> Callable[[], None]:
        """Return what a clip calls before each picture.

        It returns when no dream goes on, or when the clip's patience is at its end; it raises _GivenUpError when the
        process ends.
        """
        left = self._patience

        def pace() -> None:
            nonlocal left
            with self._changed:
                before = time.monotonic()
                self._changed.wait_for(lambda: self._stopped or not self._dreams, timeout=max(0.0, left))
                left -= time.monotonic() - before
                if self._stopped:
                    raise _GivenUpError

        return pace


class _GivenUpError(Exception):
    """The process ends; the clip in hand is not finished."""


class _Paced:
    """A film that asks before each of its pictures."""

    def __init__(self, film: Film, pace: Callable[[], None]) -> None:
        self.size, self.rate = film.size, film.rate
        self._film, self._pace = film, pace

    def __len__(self) -> int:
        return len(self._film)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for picture in self._film:
            self._pace()
            yield picture


def _yield_processor() -> None:
    """Lower the priority of the calling thread, where the system has one for threads (Linux)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, max(NICE, os.getpriority(os.PRIO_PROCESS, thread)))
