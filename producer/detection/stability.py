"""Settling: tell when a file is whole.

A file is whole when its size and time of change stood still for a while and it decodes. Decoding begins early, while
the stillness is still being watched, and counts only if the file did not change meanwhile: so watching costs a photo
no time. A file that stands still but does not decode may have a slow writer; it is given up after a longer while.
"""

import stat
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from producer.decoding.convert import Photo
from producer.decoding.formats import Truncated, Unreadable
from producer.decoding.pool import DecodeResult, DecoderPool
from producer.outbox.ledger import File, FileVersion
from shared.jobs.events import Stage, Stages

#: Seconds of stillness after which decoding is worth a try.
EARLY_DECODE_DELAY_SECONDS = 0.05


@dataclass(frozen=True)
class StableFile:
    """A file that stands still, with the photo in it or the reason why there is none."""

    file: File
    photo_id: str
    photo_or_error: Photo | Unreadable
    stages: Stages


@dataclass
class _Candidate:
    version: FileVersion
    #: Monotonic seconds when the file was first seen in this state.
    unchanged_since: float
    decoding: Future[DecodeResult] | None = None
    #: Whether the attempt takes what is there of a file that ends too early.
    allow_truncated: bool = False

    @property
    def holds_photo(self) -> bool:
        """Whether it has, or is about to have, a photo in memory."""
        if self.decoding is None or not self.decoding.done():
            return self.decoding is not None
        return self.decoding.exception() is None and isinstance(self.decoding.result().photo_or_error, Photo)


def read_file_version(path: Path) -> FileVersion | None:
    """Return the state of a regular file; None for anything else, or nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileVersion.from_stat(found) if stat.S_ISREG(found.st_mode) else None


class StabilityTracker:
    """The files that were seen and are not yet known to be whole. For one thread; decoding goes on beside it."""

    def __init__(self, decoder_pool: DecoderPool, *, stable_after_seconds: float, give_up_after_seconds: float) -> None:
        """`settle`, `patience`: seconds of stillness after which a file counts as whole, or as hopeless."""
        self._decoder_pool = decoder_pool
        self._stable_after_seconds = stable_after_seconds
        self._give_up_after_seconds = give_up_after_seconds
        self._candidates: dict[Path, _Candidate] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, path: Path) -> bool:
        return path in self._candidates

    def track(self, file: File) -> None:
        """Begin to watch a file; one that is being watched stays as it is."""
        self._candidates.setdefault(file.path, _Candidate(file.version, time.monotonic()))

    def poll(self, max_photos: int) -> list[StableFile]:
        """Look at every file once, and return those that settled, which are watched no longer.

        `ahead`: how many photos may be held in memory at a time; decoding stops there.
        """
        settled = []
        held = sum(candidate.holds_photo for candidate in self._candidates.values())
        for path, candidate in list(self._candidates.items()):
            mark, now = read_file_version(path), time.monotonic()
            if mark is None:
                self._discard(path)
            elif mark != candidate.version:
                self._discard(path)
                self._candidates[path] = _Candidate(mark, now)
            elif candidate.decoding is None:
                if held < max_photos and now - candidate.unchanged_since >= min(
                    EARLY_DECODE_DELAY_SECONDS, self._stable_after_seconds
                ):
                    candidate.decoding = self._decoder_pool.submit(path)
                    held += 1
            elif candidate.decoding.done() and (found := self._check_stability(File(path, mark), candidate, now)):
                settled.append(found)
                del self._candidates[path]
        return settled

    def _check_stability(self, file: File, candidate: _Candidate, now: float) -> StableFile | None:
        """Return a file whose time of stillness is over; None while it must stand still for longer."""
        assert candidate.decoding is not None  # noqa: S101
        if candidate.decoding.exception() is not None:  # gone for a moment, back now
            candidate.decoding = None
            return None
        done, still = candidate.decoding.result(), now - candidate.unchanged_since
        if still < (
            self._stable_after_seconds
            if isinstance(done.photo_or_error, Photo)
            else max(self._stable_after_seconds, self._give_up_after_seconds)
        ):
            return None
        if (
            isinstance(done.photo_or_error, Truncated) and not candidate.allow_truncated
        ):  # whoever wrote it has given up
            candidate.decoding, candidate.allow_truncated = (
                self._decoder_pool.submit(file.path, allow_truncated=True),
                True,
            )
            return None
        stages = {Stage.SETTLE: max(0.0, still - done.seconds), Stage.CONVERT: done.seconds}
        return StableFile(file, done.photo_id, done.photo_or_error, stages)

    def _discard(self, path: Path) -> None:
        candidate = self._candidates.pop(path)
        if candidate.decoding is not None:
            candidate.decoding.cancel()
