"""Marks in the store of videos that are still to be dreamt: what a worker that ended leaves, another one finds."""

import logging
import time
import uuid

from pydantic import BaseModel, ValidationError

from shared.storage.object_names import VIDEO_MARKS_PREFIX, video_mark_name
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Seconds after which a mark that was not renewed is taken over, and seconds between renewals.
ABANDONED_AFTER_SECONDS, RENEW_INTERVAL_SECONDS = 300.0, 60.0

#: Times that a video is begun; it may be why the workers ended. After that, its clips are made of the photo.
MAX_ATTEMPTS = 3


class _Mark(BaseModel):
    """Content of a mark."""

    owner: str
    #: Epoch seconds, by the owner's clock.
    renewed_at: float
    #: Times that the video was begun and not released.
    attempts: int


class VideoMarks:
    """The marks of an installation, as one worker process sees them. Every call raises StoreError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = uuid.uuid4().hex
        self._next_renewal = 0.0

    def add(self, job_id: str) -> None:
        """Mark the video of a job as waiting."""
        self._write(job_id, attempts=0)

    def begin(self, job_id: str) -> int:
        """Take a waiting video, and return the number of this attempt, from 1; 0 if nothing is to be done.

        Attempt MAX_ATTEMPTS + 1 is for the clips of a photo; there is none after it.
        """
        mark = self._read(job_id)
        if mark is None or (mark.owner != self._owner and not _is_abandoned(mark)):
            return 0
        if mark.attempts > MAX_ATTEMPTS:
            logger.warning("job %s has no clips: workers ended %d times while they made them", job_id, mark.attempts)
            self.remove(job_id)
            return 0
        self._next_renewal = time.monotonic() + RENEW_INTERVAL_SECONDS
        self._write(job_id, mark.attempts + 1)
        return mark.attempts + 1

    def release(self, job_id: str) -> None:
        """Leave a video that was begun to any worker, and do not count the attempt, which did not end the worker."""
        if (mark := self._read(job_id)) and mark.owner == self._owner:
            self._write(job_id, max(0, mark.attempts - 1))

    def renew(self, job_id: str) -> bool:
        """Show that the video that was begun last is being dreamt; False if another worker has taken it over.

        Call it at least every RENEW_INTERVAL_SECONDS; it asks the store no more often than that.
        """
        if time.monotonic() < self._next_renewal:
            return True
        self._next_renewal = time.monotonic() + RENEW_INTERVAL_SECONDS
        mark = self._read(job_id)
        if mark is None or mark.owner != self._owner:
            return False
        self._write(job_id, mark.attempts)
        return True

    def remove(self, job_id: str) -> None:
        """Remove the mark of a video that has its clips, or gets none."""
        self._store.delete(video_mark_name(job_id))

    def list_abandoned(self) -> list[str]:
        """Return the jobs whose video waits and whose worker has ended, as it seems."""
        job_ids = [
            entry.name.removeprefix(VIDEO_MARKS_PREFIX) for entry in self._store.list_objects(VIDEO_MARKS_PREFIX)
        ]
        return [job_id for job_id in job_ids if (mark := self._read(job_id)) and _is_abandoned(mark)]

    def _read(self, job_id: str) -> _Mark | None:
        try:
            return _Mark.model_validate_json(self._store.get(video_mark_name(job_id)) or b"")
        except ValidationError:
            return None

    def _write(self, job_id: str, attempts: int) -> None:
        mark = _Mark(owner=self._owner, renewed_at=time.time(), attempts=attempts)
        self._store.put(video_mark_name(job_id), mark.model_dump_json().encode())


def _is_abandoned(mark: _Mark) -> bool:
    return time.time() - mark.renewed_at > ABANDONED_AFTER_SECONDS
