"""The photo of a job, from the store: the working photo, which comes first, and the photo in full."""

import io
import logging
import time

import numpy as np
from PIL import Image

from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.recipe.canvas import scale_to_canvas
from shared.recipe.recipe import Recipe
from shared.storage.object_names import photo_name, working_photo_name
from shared.storage.store import Store
from worker.dreamer import Pixels
from worker.jobs.lease import LeaseKeeper, LeaseLost
from worker.jobs.retry import RetryPolicy

logger = logging.getLogger(__name__)

#: Seconds that a dream waits for its photo in full, and seconds between two looks. Both uploads together take some
#: seconds; it takes longer only if the producer's link broke down in between.
FULL_PHOTO_TIMEOUT_SECONDS, FULL_PHOTO_POLL_INTERVAL_SECONDS = 10.0, 0.1


class JobPhoto:
    """Loads the photo of a job, in either size once. Calls of the store are retried."""

    def __init__(self, job: Job, store: Store, retry_policy: RetryPolicy, lease_keeper: LeaseKeeper) -> None:
        self._job = job
        self._store = store
        self._retry = retry_policy.retry
        self._lease_keeper = lease_keeper
        self._working_photo: Pixels | None = None
        self._full_photo: Pixels | None = None

    def load(self, recipe: Recipe) -> Pixels:
        """Return the photo, (height, width, 3) uint8: the working photo if that is large enough for a recipe's canvas.

        Raises LeaseLost, and ArtDreamError if the photo is missing or damaged.
        """
        self._working_photo = self._read(working_photo_name(self._job.photo_id))
        if self._working_photo is not None and fills_canvas(self._working_photo, recipe):
            return self._working_photo
        return self.load_full()

    def load_full(self) -> Pixels:
        """Return the photo in full, (height, width, 3) uint8, or the working photo if it takes too long to arrive.

        Raises LeaseLost, and ArtDreamError if the photo is missing or damaged.
        """
        if self._full_photo is None:
            self._full_photo = self._wait_for_full_photo()
        return self._full_photo

    def drop(self) -> None:
        """Free the memory of what was loaded, tens of megabytes."""
        self._working_photo = self._full_photo = None

    def _wait_for_full_photo(self) -> Pixels:
        name = photo_name(self._job.photo_id)
        deadline = time.monotonic() + FULL_PHOTO_TIMEOUT_SECONDS
        while (photo := self._read(name)) is None:
            if self._working_photo is None:
                raise ArtDreamError(f"The photo {name} is no longer in the store.")
            if self._lease_keeper.is_lost:
                raise LeaseLost
            if time.monotonic() > deadline:
                logger.warning(
                    "job %s: its photo did not arrive in full within %.0f s, and is dreamt at the size of the canvas",
                    self._job.id,
                    FULL_PHOTO_TIMEOUT_SECONDS,
                )
                return self._working_photo
            time.sleep(FULL_PHOTO_POLL_INTERVAL_SECONDS)
        return photo

    def _read(self, name: str) -> Pixels | None:
        data = self._retry(lambda: self._store.get(name))
        return None if data is None else decode_photo(data, name)


def fills_canvas(photo: Pixels, recipe: Recipe) -> bool:
    """Return whether a photo is large enough for a recipe's canvas."""
    height, width, _ = photo.shape
    return bool(scale_to_canvas(width, height, recipe.canvas).width <= width)


def decode_photo(data: bytes, name: str) -> Pixels:
    """Decode a photo in the store, (height, width, 3) uint8. Raises ArtDreamError, with its name, if it is damaged."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise ArtDreamError(f"The photo {name} in the store is damaged.") from error
