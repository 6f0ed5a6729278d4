"""The spool: photos that are accepted and not yet delivered, on disk, in order."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from producer.outbox.ledger import File, Ledger, LedgerError, mark_file, mark_photo
from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.storage.quarantine import make_printable, quarantine_file

#: Name of the spool in the data folder.
FOLDER = "spool"

#: Seconds after which a photo that no row tells of is what a killed producer left, and not what another is writing.
ABANDONED = 3600


class Full(ArtDreamError):
    """The data folder cannot be written; the same call may be tried again."""


class Foreign(ArtDreamError):
    """What waits was written by another version of ArtDream, and can only be read by that."""

    def __init__(self, number: int, file: str) -> None:
        super().__init__(f"{file} waits in the spool for another version of ArtDream than this, and was left out.")
        self.number = number


@dataclass(frozen=True)
class Item:
    """What waits: a job with its photo, or a refusal that has to be told."""

    #: Rising, never used twice.
    number: int
    #: The name of the file it came from, for people.
    file: str
    photo_id: str
    #: None for a refusal.
    job: Job | None
    reason: str


class Spool:
    """What one data folder has to deliver. May be used from several threads, and by several processes at once."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the spool beside a ledger, creating it. Raises Full."""
        self._ledger = ledger
        self._folder = ledger.folder / FOLDER
        with _writing():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._sweep()

    def __len__(self) -> int:
        return int(self._ledger.read("SELECT count(*) FROM spool")[0][0])

    def add(self, job: Job, jpeg: bytes, file: File) -> None:
        """Accept a photo: from here on its file may vanish and the machine may stop. Raises Full."""
        with _writing():
            if not (photo := self._photo(job.photo_id)).exists():
                _write(photo, jpeg)
            self._enter(file, job.photo_id, job.model_dump_json(), "")

    def refuse(self, file: File, photo_id: str, reason: str) -> Path:
        """Set a file aside with a reason that has to be told. Returns where the reason is. Raises Full."""
        with _writing():
            note = quarantine_file(file.path, photo_id, reason, self._ledger.folder)
            self._enter(file, photo_id, "", reason)
        return note

    def ignore(self, file: File, photo_id: str) -> None:
        """Leave a file alone from now on. Raises Full."""
        with _writing(), self._ledger.writing() as db:
            mark_file(db, file, photo_id)

    def first(self, after: int = 0) -> Item | None:
        """Return the item that waits longest among those beyond a number, None for none.

        Raises LedgerError, and Foreign where another version of ArtDream wrote it.
        """
        rows = self._ledger.read("SELECT * FROM spool WHERE number > ? ORDER BY number LIMIT 1", after)
        for number, file, photo_id, job, reason in rows:
            try:
                return Item(number, file, photo_id, Job.model_validate_json(job) if job else None, reason)
            except ValidationError as error:
                raise Foreign(number, file) from error
        return None

    def jpeg(self, item: Item) -> bytes:
        """Return the photo of an item. Raises OSError."""
        return self._photo(item.photo_id).read_bytes()

    def delivered(self, item: Item) -> None:
        """Let go of an item that is through. Raises LedgerError."""
        with self._ledger.writing() as db:
            db.execute("DELETE FROM spool WHERE number = ?", (item.number,))
            state = "submitted" if item.job else "refused"
            mark_photo(db, item.photo_id, item.job.id if item.job else "", state, item.reason)
            (others,) = db.execute("SELECT count(*) FROM spool WHERE photo_id = ?", (item.photo_id,)).fetchone()
        if not others:
            with contextlib.suppress(OSError):  # swept up another day
                self._photo(item.photo_id).unlink(missing_ok=True)

    def _enter(self, file: File, photo_id: str, job: str, reason: str) -> None:
        with self._ledger.writing() as db:
            row = (make_printable(file.path), photo_id, job, reason)
            db.execute("INSERT INTO spool (file, photo_id, job, reason) VALUES (?, ?, ?, ?)", row)
            mark_file(db, file, photo_id)

    def _photo(self, photo_id: str) -> Path:
        return self._folder / f"{photo_id}.jpg"

    def _sweep(self) -> None:
        """Remove what a killed producer wrote and did not enter; the file that it came from is still there."""
        entered = {photo_id for (photo_id,) in self._ledger.read("SELECT DISTINCT photo_id FROM spool")}
        for path in self._folder.iterdir():
            if path.name.partition(".")[0] not in entered and time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, whatever happens to the machine."""
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise Full(str(error)) from error
    except OSError as error:
        raise Full(f"The data folder cannot be written: {error.strerror or error}.") from error
