"""Frames on their way to the display: encoded, stored and announced beside the dream, never in its way."""

import contextlib
import io
import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.broker.client import BROKER_UNAVAILABLE
from shared.jpeg_marker import JPEG_MARKER
from shared.storage.object_names import frame_name
from shared.storage.store import Store, StoreError
from worker.dreamer import Frame

logger = logging.getLogger(__name__)

#: JPEG quality of dreams and frames; 4:4:4, because dreams are full of fine colour.
DREAM_QUALITY = 92
FRAME_QUALITY = 80

#: Long side of a thumbnail in pixels: a cell of the gallery on a fine screen.
THUMBNAIL_SIDE = 480


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = DREAM_QUALITY) -> bytes:
    """Encode (height, width, 3) sRGB pixels."""
    buffer = io.BytesIO()
    subsampling = 0 if quality >= DREAM_QUALITY else 2
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling, comment=JPEG_MARKER)
    return buffer.getvalue()


def encode_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (height, width, 3) sRGB pixels small, for strips and galleries."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    return encode_jpeg(np.asarray(image), FRAME_QUALITY)


class FramePublisher:
    """Publishes frames from a thread of its own while the dream goes on.

    Holds at most one frame: where the store is slower than the dream, older frames are skipped, and the frame that
    waits when the dream ends is dropped, so that nothing delays the finished picture.
    """

    def __init__(self, store: Store, announce: Callable[[str, float], object], job_id: str) -> None:
        self._store = store
        self._announce = announce
        self._job_id = job_id
        self._pending: queue.Queue[Frame | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Not waited for: a frame that arrives after the completion is turned away by the job table.
        self._replace_pending(None)

    def offer(self, frame: Frame) -> None:
        """Take a frame for publication and return at once."""
        self._replace_pending(frame)

    def _replace_pending(self, frame: Frame | None) -> None:
        """Put a frame in the one place, dropping what waits there. Only the dreaming thread calls this."""
        with contextlib.suppress(queue.Empty):
            self._pending.get_nowait()
        self._pending.put_nowait(frame)

    def _run(self) -> None:
        while (frame := self._pending.get()) is not None:
            try:
                name = frame_name(self._job_id, frame.index)
                self._store.put(name, encode_jpeg(frame.pixels, FRAME_QUALITY))
                self._announce(name, frame.fraction)
            except (StoreError, *BROKER_UNAVAILABLE) as error:  # a frame is a pleasure, not a promise
                logger.info("frame %d of job %s was skipped: %s", frame.index, self._job_id, error)
