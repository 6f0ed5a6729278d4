"""Frames: encode, store and announce them in the background, without delaying the dream."""

import contextlib
import io
import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
import redis
from numpy.typing import NDArray
from PIL import Image

from shared.broker.client import describe_error
from shared.errors import ArtDreamError
from shared.jpeg_marker import JPEG_MARKER
from shared.provenance.embedding import embed
from shared.provenance.signing import ManifestSigner
from shared.provenance.statement import Statement
from shared.storage.object_names import frame_name
from shared.storage.store import Store
from worker.dreamer import Frame

logger = logging.getLogger(__name__)

#: JPEG qualities of dreams and of frames. Dreams are 4:4:4, because they are full of fine colour.
DREAM_QUALITY = 92
FRAME_QUALITY = 80

#: Long side of a thumbnail in pixels: a cell of the gallery on a high-resolution screen.
THUMBNAIL_SIDE = 480


def encode_jpeg(
    pixels: NDArray[np.uint8],
    quality: int = DREAM_QUALITY,
    *,
    statement: Statement | None = None,
    signer: ManifestSigner | None = None,
) -> bytes:
    """Encode (height, width, 3) uint8 sRGB pixels as JPEG that says that it is a dream.

    quality: from 1 to 95; 4:4:4 from DREAM_QUALITY on, 4:2:0 below. statement: by default a brief one. signer: signs
    the file, if there is one.
    """
    buffer = io.BytesIO()
    subsampling = 0 if quality >= DREAM_QUALITY else 2
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling, comment=JPEG_MARKER)
    return embed(buffer.getvalue(), statement or Statement.brief(), signer)


def encode_thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    """Encode (height, width, 3) uint8 sRGB pixels as a JPEG thumbnail, for strips and galleries."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    return encode_jpeg(np.asarray(image), FRAME_QUALITY)


class FramePublisher:
    """Publishes frames from a thread of its own while the dream is computed.

    announce: called with the object name and the fraction of each stored frame; it deletes a frame that nobody may see.
    may_be_seen: called with the pixels of each frame before that; one for which it returns False is skipped.

    Keeps at most one pending frame. If the store is slower than the dream, older frames are skipped. A frame that is
    still pending when the dream ends is dropped, so that nothing delays the finished dream.
    """

    def __init__(
        self,
        store: Store,
        announce: Callable[[str, float], object],
        job_id: str,
        may_be_seen: Callable[[NDArray[np.uint8]], bool] = lambda _: True,
    ) -> None:
        self._store = store
        self._announce = announce
        self._may_be_seen = may_be_seen
        self._job_id = job_id
        self._pending: queue.Queue[Frame | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The thread is not joined: the job table rejects a frame that arrives after the completion.
        self._replace_pending(None)

    def offer(self, frame: Frame) -> None:
        """Accept a frame for publication and return at once."""
        self._replace_pending(frame)

    def _replace_pending(self, frame: Frame | None) -> None:
        """Replace the pending frame; None ends the thread. Called only by the thread that computes the dream."""
        with contextlib.suppress(queue.Empty):
            self._pending.get_nowait()
        self._pending.put_nowait(frame)

    def _run(self) -> None:
        while (frame := self._pending.get()) is not None:
            try:
                if not self._may_be_seen(frame.pixels):
                    continue
                name = frame_name(self._job_id, frame.index)
                self._store.put(name, encode_jpeg(frame.pixels, FRAME_QUALITY))
                self._announce(name, frame.fraction)
            except (ArtDreamError, redis.RedisError) as error:  # frames are best effort
                logger.info("frame %d of job %s was skipped: %s", frame.index, self._job_id, describe_error(error))
