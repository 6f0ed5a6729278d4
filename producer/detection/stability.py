"""Stability: detect when a file is complete.

A file is complete when its size and modification time have not changed for `stable_after_seconds` and it decodes, and
its content is not still zeros at the end (`producer/decoding/missing_content.py`).
Decoding starts early, before that time is over, and counts only if the file does not change meanwhile, so that the
check adds no latency. An unchanged file that does not decode may have a slow writer; it is refused only after
`give_up_after_seconds`.
"""

import logging
import stat
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from pathlib import Path

from producer.decoding.convert import Photo
from producer.decoding.formats import Truncated, Unreadable
from producer.decoding.pool import DecodeResult, DecoderPool, DecoderUnavailable
from producer.ledger import File, FileVersion
from shared.jobs.events import Stage, Stages

logger = logging.getLogger(__name__)

#: Seconds without a change after which decoding starts; earlier attempts would mostly fail on incomplete files. Those
#: before the file was first seen count, too: what is moved into the folder is complete, as with AirDrop.
EARLY_DECODE_DELAY_SECONDS = 0.02

#: Seconds between two attempts to decode while no decoder starts: each attempt starts processes.
DECODER_RETRY_DELAY_SECONDS = 2.0


@dataclass(frozen=True)
class StableFile:
    """A file that no longer changes, with its photo or the reason why it has none."""

    file: File
    #: "" if the file could not be read.
    photo_id: str
    photo_or_error: Photo | Unreadable
    stages: Stages


@dataclass
class _Candidate:
    version: FileVersion
    #: Monotonic time in seconds when the file was first seen in this version.
    unchanged_since: float
    #: Seconds after that at which decoding starts.
    decode_delay_seconds: float
    decoding: Future[DecodeResult] | None = None
    #: Whether `decoding` accepts a file that ends too early.
    allow_truncated: bool = False
    #: Whether it is the video of a Live Photo, which is decoded again if its picture does not come.
    waits_for_picture: bool = False

    @property
    def holds_photo(self) -> bool:
        """Whether a photo of this file is, or is about to be, in memory."""
        if self.decoding is None or not self.decoding.done():
            return self.decoding is not None
        return self.decoding.exception() is None and isinstance(self.decoding.result().photo_or_error, Photo)


def read_file_version(path: Path) -> FileVersion | None:
    """Return the version of a regular file; None if there is no file, something else, or the path cannot exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: the path contains a NUL byte.
        return None
    return FileVersion.from_stat(status) if stat.S_ISREG(status.st_mode) else None


class StabilityTracker:
    """Tracks files until they are complete or given up. Use from one thread; decoding runs in the background."""

    def __init__(
        self,
        decoder_pool: DecoderPool,
        *,
        stable_after_seconds: float,
        give_up_after_seconds: float,
        on_decode: Callable[[], object] = lambda: None,
    ) -> None:
        """Start with no files.

        stable_after_seconds: seconds without a change after which a file that decodes counts as complete.
        give_up_after_seconds: seconds without a change after which a file that does not decode is given up, and the
        video of a Live Photo is no longer expected to be followed by its picture. on_decode: called as decoding begins.
        """
        self._decoder_pool = decoder_pool
        self._on_decode = on_decode
        self._stable_after_seconds = stable_after_seconds
        self._give_up_after_seconds = max(stable_after_seconds, give_up_after_seconds)
        self._candidates: dict[Path, _Candidate] = {}
        self._decoded = threading.Event()
        #: Monotonic time in seconds before which no decoding starts; 0 if decoders are available.
        self._retry_at = 0.0

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, path: Path) -> bool:
        return path in self._candidates

    def track(self, file: File) -> None:
        """Start tracking a file. A file that is already tracked keeps its state."""
        seconds_since_write = max(0.0, time.time() - file.version.mtime_ns / 1e9)
        delay = max(0.0, EARLY_DECODE_DELAY_SECONDS - seconds_since_write)
        self._candidates.setdefault(file.path, _Candidate(file.version, time.monotonic(), delay))

    def wait_for_decoder(self, timeout_seconds: float) -> bool:
        """Wait until a file has been decoded since the last call; False after the timeout."""
        is_decoded = self._decoded.wait(timeout_seconds)
        self._decoded.clear()
        return is_decoded

    def poll(self, max_photos: int) -> list[StableFile]:
        """Check every file once. Returns the files that are now stable, which are no longer tracked.

        max_photos: photos that may be in memory at a time; at this number no further decoding starts.
        """
        stable_files = []
        photos_in_memory = sum(candidate.holds_photo for candidate in self._candidates.values())
        for path, candidate in list(self._candidates.items()):
            version, now = read_file_version(path), time.monotonic()
            if version is None:
                self._discard(path)
            elif version != candidate.version:
                self._discard(path)
                # Each decoding in vain doubles the wait for the next: a slow writer must not keep a decoder busy.
                is_in_vain = candidate.decoding is not None or candidate.waits_for_picture
                delay = candidate.decode_delay_seconds * (2 if is_in_vain else 1)
                # What changes while it is looked at is being written, whatever the clock of its disk says.
                self._candidates[path] = _Candidate(version, now, max(delay, EARLY_DECODE_DELAY_SECONDS))
            elif candidate.decoding is None:
                delay = (
                    self._give_up_after_seconds
                    if candidate.waits_for_picture
                    else min(candidate.decode_delay_seconds, self._stable_after_seconds)
                )
                if photos_in_memory < max_photos and now >= max(candidate.unchanged_since + delay, self._retry_at):
                    candidate.decoding = self._decode(path)
                    photos_in_memory += 1
            elif candidate.decoding.done() and (
                stable_file := self._check_stability(File(path, version), candidate, now)
            ):
                stable_files.append(stable_file)
                del self._candidates[path]
        return stable_files

    def _check_stability(self, file: File, candidate: _Candidate, now: float) -> StableFile | None:
        """Return a decoded file if it has been unchanged for long enough, else None."""
        assert candidate.decoding is not None  # noqa: S101
        # The file was missing for a moment and exists again, or there was no decoder.
        if isinstance(candidate.decoding.exception(), FileNotFoundError | DecoderUnavailable):
            candidate.decoding = None
            return None
        result, unchanged_seconds = candidate.decoding.result(), now - candidate.unchanged_since
        photo = result.photo_or_error if isinstance(result.photo_or_error, Photo) else None
        # The picture of a Live Photo may arrive after its video, which is then no photo of its own.
        is_live_photo_video = photo is not None and photo.is_live_photo_video
        is_complete = photo is not None and not is_live_photo_video
        if unchanged_seconds < (self._stable_after_seconds if is_complete else self._give_up_after_seconds):
            if is_live_photo_video:  # Kept in memory, it would take the place of another photo, such as its picture.
                candidate.decoding, candidate.waits_for_picture = None, True
            return None
        # After this long the writer has given up too, so a part of the picture is all there will be.
        if isinstance(result.photo_or_error, Truncated) and not candidate.allow_truncated:
            candidate.decoding = self._decode(file.path, allow_truncated=True)
            candidate.allow_truncated = True
            return None
        stages = {Stage.SETTLE: max(0.0, unchanged_seconds - result.seconds), Stage.CONVERT: result.seconds}
        return StableFile(file, result.photo_id, result.photo_or_error, stages)

    def _decode(self, path: Path, *, allow_truncated: bool = False) -> Future[DecodeResult]:
        decoding = self._decoder_pool.submit(path, allow_truncated=allow_truncated)
        self._on_decode()
        decoding.add_done_callback(self._note_result)
        return decoding

    def _note_result(self, decoding: Future[DecodeResult]) -> None:
        """Delay the next decoding if no decoder was available, which is logged once, and so is that one is back."""
        if decoding.cancelled() or isinstance(error := decoding.exception(), CancelledError):
            return
        if isinstance(error, DecoderUnavailable):
            if not self._retry_at:
                logger.warning("%s They wait where they are until one does.", error)
            self._retry_at = time.monotonic() + DECODER_RETRY_DELAY_SECONDS
        elif self._retry_at:
            logger.warning("Photos can be decoded again.")
            self._retry_at = 0.0
        self._decoded.set()

    def _discard(self, path: Path) -> None:
        candidate = self._candidates.pop(path)
        if candidate.decoding is not None:
            candidate.decoding.cancel()
