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
from producer.decoding.formats import Cut, Unreadable
from producer.decoding.pool import Attempt, Decoders
from producer.outbox.ledger import File, Mark
from shared.jobs.events import Stage, Stages

#: Seconds of stillness after which decoding is worth a try.
EAGERNESS = 0.05


@dataclass(frozen=True)
class Settled:
    """A file that stands still, with the photo in it or the reason why there is none."""

    file: File
    photo_id: str
    result: Photo | Unreadable
    stages: Stages


@dataclass
class _Candidate:
    mark: Mark
    #: Monotonic seconds when the file was first seen in this state.
    since: float
    attempt: Future[Attempt] | None = None
    #: Whether the attempt takes what is there of a file that ends too early.
    cut: bool = False

    @property
    def holds_pixels(self) -> bool:
        """Whether it has, or is about to have, a photo in memory."""
        if self.attempt is None or not self.attempt.done():
            return self.attempt is not None
        return self.attempt.exception() is None and isinstance(self.attempt.result().result, Photo)


def mark_of(path: Path) -> Mark | None:
    """Return the state of a regular file; None for anything else, or nothing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Mark.of(found) if stat.S_ISREG(found.st_mode) else None


class Settling:
    """The files that were seen and are not yet known to be whole. For one thread; decoding goes on beside it."""

    def __init__(self, decoders: Decoders, *, settle: float, patience: float) -> None:
        """`settle`, `patience`: seconds of stillness after which a file counts as whole, or as hopeless."""
        self._decoders = decoders
        self._settle = settle
        self._patience = patience
        self._candidates: dict[Path, _Candidate] = {}

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, path: Path) -> bool:
        return path in self._candidates

    def notice(self, file: File) -> None:
        """Begin to watch a file; one that is being watched stays as it is."""
        self._candidates.setdefault(file.path, _Candidate(file.mark, time.monotonic()))

    def poll(self, ahead: int) -> list[Settled]:
        """Look at every file once, and return those that settled, which are watched no longer.

        `ahead`: how many photos may be held in memory at a time; decoding stops there.
        """
        settled = []
        held = sum(candidate.holds_pixels for candidate in self._candidates.values())
        for path, candidate in list(self._candidates.items()):
            mark, now = mark_of(path), time.monotonic()
            if mark is None:
                self._forget(path)
            elif mark != candidate.mark:
                self._forget(path)
                self._candidates[path] = _Candidate(mark, now)
            elif candidate.attempt is None:
                if held < ahead and now - candidate.since >= min(EAGERNESS, self._settle):
                    candidate.attempt = self._decoders.submit(path)
                    held += 1
            elif candidate.attempt.done() and (found := self._judge(File(path, mark), candidate, now)):
                settled.append(found)
                del self._candidates[path]
        return settled

    def _judge(self, file: File, candidate: _Candidate, now: float) -> Settled | None:
        """Return a file whose time of stillness is over; None while it must stand still for longer."""
        assert candidate.attempt is not None  # noqa: S101
        if candidate.attempt.exception() is not None:  # gone for a moment, back now
            candidate.attempt = None
            return None
        done, still = candidate.attempt.result(), now - candidate.since
        if still < (self._settle if isinstance(done.result, Photo) else max(self._settle, self._patience)):
            return None
        if isinstance(done.result, Cut) and not candidate.cut:  # whoever wrote it has given up
            candidate.attempt, candidate.cut = self._decoders.submit(file.path, cut=True), True
            return None
        stages = {Stage.SETTLE: max(0.0, still - done.seconds), Stage.CONVERT: done.seconds}
        return Settled(file, done.photo_id, done.result, stages)

    def _forget(self, path: Path) -> None:
        candidate = self._candidates.pop(path)
        if candidate.attempt is not None:
            candidate.attempt.cancel()
