"""The spool: photos that are accepted and not yet delivered, on disk, in order."""

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from producer.outbox.ledger import File, Ledger, LedgerError, record_file, record_photo
from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.storage.quarantine import make_printable, quarantine_file

#: Name of the spool in the data folder.
OUTBOX_FOLDER_NAME = "spool"

#: Seconds after which a photo that no row tells of is what a killed producer left, and not what another is writing.
ORPHAN_AGE_SECONDS = 3600


class DiskUnavailable(ArtDreamError):
    """The data folder cannot be written; the same call may be tried again."""


class IncompatibleRow(ArtDreamError):
    """What waits was written by another version of ArtDream, and can only be read by that."""

    def __init__(self, number: int, file_name: str) -> None:
        super().__init__(f"{file_name} waits in the spool for another version of ArtDream than this, and was left out.")
        self.number = number


@dataclass(frozen=True)
class OutboxItem:
    """What waits: a job with its photo, or a refusal that has to be told."""

    #: Rising, never used twice.
    number: int
    #: The name of the file it came from, for people.
    file_name: str
    photo_id: str
    #: None for a refusal.
    job: Job | None
    reason: str


class Outbox:
    """What one data folder has to deliver. May be used from several threads, and by several processes at once."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the spool beside a ledger, creating it. Raises Full."""
        self._ledger = ledger
        self._folder = ledger.data_folder / OUTBOX_FOLDER_NAME
        with _raise_disk_unavailable():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._remove_orphans()

    def __len__(self) -> int:
        return int(self._ledger.query("SELECT count(*) FROM spool")[0][0])

    def add(self, job: Job, jpeg: bytes, file: File) -> None:
        """Accept a photo: from here on its file may vanish and the machine may stop. Raises Full."""
        with _raise_disk_unavailable():
            if not (photo := self._photo_path(job.photo_id)).exists():
                _write_atomically(photo, jpeg)
            self._insert_row(file, job.photo_id, job.model_dump_json(), "")

    def add_refusal(self, file: File, photo_id: str, reason: str) -> Path:
        """Set a file aside with a reason that has to be told. Returns where the reason is. Raises Full."""
        with _raise_disk_unavailable():
            note = quarantine_file(file.path, photo_id, reason, self._ledger.data_folder)
            self._insert_row(file, photo_id, "", reason)
        return note

    def ignore(self, file: File, photo_id: str) -> None:
        """Leave a file alone from now on. Raises Full."""
        with _raise_disk_unavailable(), self._ledger.transaction() as db:
            record_file(db, file, photo_id)

    def next_item(self, after: int = 0) -> OutboxItem | None:
        """Return the item that waits longest among those beyond a number, None for none.

        Raises LedgerError, and Foreign where another version of ArtDream wrote it.
        """
        rows = self._ledger.query("SELECT * FROM spool WHERE number > ? ORDER BY number LIMIT 1", after)
        for number, file, photo_id, job, reason in rows:
            try:
                return OutboxItem(number, file, photo_id, Job.model_validate_json(job) if job else None, reason)
            except ValidationError as error:
                raise IncompatibleRow(number, file) from error
        return None

    def read_jpeg(self, item: OutboxItem) -> bytes:
        """Return the photo of an item. Raises OSError."""
        return self._photo_path(item.photo_id).read_bytes()

    def mark_submitted(self, item: OutboxItem) -> None:
        """Let go of an item that is through. Raises LedgerError."""
        with self._ledger.transaction() as db:
            db.execute("DELETE FROM spool WHERE number = ?", (item.number,))
            state = "submitted" if item.job else "refused"
            record_photo(db, item.photo_id, item.job.id if item.job else "", state, item.reason)
            (others,) = db.execute("SELECT count(*) FROM spool WHERE photo_id = ?", (item.photo_id,)).fetchone()
        if not others:
            with contextlib.suppress(OSError):  # swept up another day
                self._photo_path(item.photo_id).unlink(missing_ok=True)

    def _insert_row(self, file: File, photo_id: str, job: str, reason: str) -> None:
        with self._ledger.transaction() as db:
            row = (make_printable(file.path), photo_id, job, reason)
            db.execute("INSERT INTO spool (file, photo_id, job, reason) VALUES (?, ?, ?, ?)", row)
            record_file(db, file, photo_id)

    def _photo_path(self, photo_id: str) -> Path:
        return self._folder / f"{photo_id}.jpg"

    def _remove_orphans(self) -> None:
        """Remove what a killed producer wrote and did not enter; the file that it came from is still there."""
        entered = {photo_id for (photo_id,) in self._ledger.query("SELECT DISTINCT photo_id FROM spool")}
        for path in self._folder.iterdir():
            if path.name.partition(".")[0] not in entered and time.time() - path.stat().st_mtime > ORPHAN_AGE_SECONDS:
                path.unlink(missing_ok=True)


def _write_atomically(path: Path, data: bytes) -> None:
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
def _raise_disk_unavailable() -> Iterator[None]:
    try:
        yield
    except LedgerError as error:
        raise DiskUnavailable(str(error)) from error
    except OSError as error:
        raise DiskUnavailable(f"The data folder cannot be written: {error.strerror or error}.") from error
