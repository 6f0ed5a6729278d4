"""Outbox: accepted photos that are not yet submitted, on disk, in order."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

from producer.ledger import File, Ledger, LedgerError, record_file, record_photo
from shared.durability import flush_file, flush_path
from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.jobs.refusal import RefusalCause
from shared.private_folder import create_private_folder
from shared.storage.quarantine import make_printable, quarantine_file

#: Name of the outbox's folder in the data folder.
OUTBOX_FOLDER_NAME = "spool"

#: Seconds after which a photo without a row is a leftover of a killed producer, not a write in progress.
ORPHAN_AGE_SECONDS = 3600


class DiskUnavailable(ArtDreamError):
    """The data folder cannot be written; the call may be retried."""


class IncompatibleRow(ArtDreamError):
    """A row was written by another version of ArtDream, and only that version can read it."""

    def __init__(self, number: int, file_name: str) -> None:
        super().__init__(f"{file_name} waits in the spool for another version of ArtDream than this, and was left out.")
        self.number = number


@dataclass(frozen=True)
class OutboxItem:
    """A job with its photo that is to be submitted, or a refusal that is to be published."""

    #: Increasing and never reused.
    number: int
    #: Printable name of the source file, for messages.
    file_name: str
    photo_id: str
    #: None for a refusal.
    job: Job | None
    #: Why the file was refused; "" for a job.
    reason: str
    #: The same for guests, if there is a text for it.
    cause: RefusalCause | None = None


@dataclass(frozen=True)
class PhotoUpload:
    """A photo that is to be uploaded after its job was submitted with its working photo."""

    #: Increasing and never reused.
    number: int
    photo_id: str


class _PhotoPaths(NamedTuple):
    """The files of a photo."""

    photo: Path
    working_photo: Path
    motion: Path


class Outbox:
    """Outbox of one data folder. Safe for use by several threads and several processes at once."""

    def __init__(self, ledger: Ledger) -> None:
        """Open the outbox of the ledger's data folder, create it if missing. Raises DiskUnavailable."""
        self._ledger = ledger
        self._folder = ledger.data_folder / OUTBOX_FOLDER_NAME
        with _raise_disk_unavailable():
            create_private_folder(self._folder)
            self._remove_orphans()

    def __contains__(self, item: OutboxItem | PhotoUpload) -> bool:
        table = "spool" if isinstance(item, OutboxItem) else "uploads"
        return bool(self._ledger.query(f"SELECT 1 FROM {table} WHERE number = ?", item.number))  # noqa: S608

    def __len__(self) -> int:
        return int(self._ledger.query("SELECT count(*) FROM spool")[0][0])

    def add(self, job: Job, jpeg: bytes, file: File, working_jpeg: bytes = b"", motion: bytes = b"") -> None:
        """Accept a photo durably: afterwards its file may be deleted and the machine may stop.

        working_jpeg: the working photo, if the photo has one; it goes out first. motion: the video that the photo was
        taken from, as MP4, if it was; it goes out with the job. Raises DiskUnavailable.
        """
        with _raise_disk_unavailable(), self._ledger.transaction() as db:
            _insert_row(db, file, job.photo_id, job.model_dump_json(), "")
            # With the row, so that `mark_submitted` does not remove a photo that is there already.
            for path, data in zip(self._paths(job.photo_id), (jpeg, working_jpeg, motion), strict=True):
                if data and not path.exists():
                    _write_atomically(path, data)
            flush_path(self._folder)

    def add_refusal(self, file: File, photo_id: str, reason: str, cause: RefusalCause | None = None) -> Path:
        """Quarantine a file, and add its refusal. Returns the file with the reason. Raises DiskUnavailable.

        cause: the reason for guests, if there is a text for it.
        """
        with _raise_disk_unavailable():
            reason_path = quarantine_file(file.path, photo_id, reason, self._ledger.data_folder)
            with self._ledger.transaction() as db:
                number = _insert_row(db, file, photo_id, "", reason)
                if cause is not None:
                    db.execute("INSERT INTO causes VALUES (?, ?)", (number, json.dumps(asdict(cause))))
        return reason_path

    def ignore(self, file: File, photo_id: str) -> None:
        """Record a file as processed, and submit nothing. Raises DiskUnavailable."""
        with _raise_disk_unavailable(), self._ledger.transaction() as db:
            record_file(db, file, photo_id)

    def next_item(self, after: int = 0) -> OutboxItem | None:
        """Return the oldest item whose number is greater than `after`, None if there is none.

        Raises LedgerError, and IncompatibleRow if another version of ArtDream wrote the row.
        """
        rows = self._ledger.query(
            "SELECT number, file, photo_id, job, reason, cause FROM spool LEFT JOIN causes USING (number) "
            "WHERE number > ? ORDER BY number LIMIT 1",
            after,
        )
        for number, file, photo_id, job_json, reason, cause_json in rows:
            try:
                job = Job.model_validate_json(job_json) if job_json else None
                cause = RefusalCause(**json.loads(cause_json)) if cause_json else None
            except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
                raise IncompatibleRow(number, file) from error
            return OutboxItem(number, file, photo_id, job, reason, cause)
        return None

    def next_upload(self, after: int = 0) -> PhotoUpload | None:
        """Return the oldest upload whose number is greater than `after`, None if there is none. Raises LedgerError."""
        rows = self._ledger.query(
            "SELECT number, photo_id FROM uploads WHERE number > ? ORDER BY number LIMIT 1", after
        )
        return PhotoUpload(*rows[0]) if rows else None

    def read_photo(self, item: OutboxItem | PhotoUpload) -> bytes:
        """Return the photo of an item or upload as JPEG. Raises OSError."""
        return self._paths(item.photo_id).photo.read_bytes()

    def read_added_at(self, item: OutboxItem) -> float | None:
        """Return when an item came, in epoch seconds of this machine's clock; None if its photo is gone.

        It is the age of the photo's file, which is written with the item unless another item has the same photo.
        """
        try:
            return self._paths(item.photo_id).photo.stat().st_mtime
        except OSError:
            return None

    def read_working_photo(self, item: OutboxItem) -> bytes:
        """Return the working photo of an item as JPEG, b"" if its photo has none. Raises OSError."""
        return _read_if_exists(self._paths(item.photo_id).working_photo)

    def read_motion(self, item: OutboxItem) -> bytes:
        """Return the video that an item's photo was taken from as MP4, b"" if there is none. Raises OSError."""
        return _read_if_exists(self._paths(item.photo_id).motion)

    def mark_submitted(self, item: OutboxItem) -> None:
        """Remove a submitted item, and its photo if nothing else has it. Raises LedgerError.

        If it was submitted with its working photo, the upload of its photo takes its place.
        """
        with self._ledger.transaction(durable=True) as db:
            if item.job and self._paths(item.photo_id).working_photo.exists():
                db.execute("INSERT OR IGNORE INTO uploads (photo_id) VALUES (?)", (item.photo_id,))
            db.execute("DELETE FROM spool WHERE number = ?", (item.number,))
            db.execute("DELETE FROM causes WHERE number = ?", (item.number,))
            state = "submitted" if item.job else "refused"
            record_photo(db, item.photo_id, item.job.id if item.job else "", state, item.reason)
        self._remove_unused_photo(item.photo_id)

    def mark_uploaded(self, upload: PhotoUpload) -> None:
        """Remove an upload, and its photo if no item has it. Raises LedgerError."""
        with self._ledger.transaction(durable=True) as db:
            db.execute("DELETE FROM uploads WHERE number = ?", (upload.number,))
        self._remove_unused_photo(upload.photo_id)

    def _remove_unused_photo(self, photo_id: str) -> None:
        """Remove a photo that no row has.

        In a transaction of its own, after a durable one has removed the row: neither a crash nor a power cut must leave
        a row without its photo. A photo without a row is an orphan.
        """
        with contextlib.suppress(OSError), self._ledger.transaction() as db:
            if not _has_rows(db, photo_id):
                for path in reversed(self._paths(photo_id)):
                    path.unlink(missing_ok=True)

    def _paths(self, photo_id: str) -> _PhotoPaths:
        return _PhotoPaths(*(self._folder / f"{photo_id}{suffix}" for suffix in (".jpg", ".working.jpg", ".mp4")))

    def _remove_orphans(self) -> None:
        """Remove photos that a killed producer wrote without a row; their source files still exist."""
        with self._ledger.transaction() as db:
            for path in self._folder.iterdir():
                is_old = time.time() - path.stat().st_mtime > ORPHAN_AGE_SECONDS
                if is_old and not _has_rows(db, path.name.partition(".")[0]):
                    path.unlink(missing_ok=True)


def _has_rows(db: sqlite3.Connection, photo_id: str) -> bool:
    """Return whether a photo is still to be submitted or uploaded."""
    rows = db.execute(
        "SELECT 1 FROM spool WHERE photo_id = :id UNION SELECT 1 FROM uploads WHERE photo_id = :id", {"id": photo_id}
    )
    return rows.fetchone() is not None


def _insert_row(db: sqlite3.Connection, file: File, photo_id: str, job: str, reason: str) -> int:
    """Insert a row, and record its file as processed. Returns the number of the row."""
    row = (make_printable(file.path), photo_id, job, reason)
    number = db.execute("INSERT INTO spool (file, photo_id, job, reason) VALUES (?, ?, ?, ?)", row).lastrowid
    record_file(db, file, photo_id)
    return number or 0


def _read_if_exists(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _write_atomically(path: Path, data: bytes) -> None:
    """Write a file completely or not at all. Until the folder is flushed, a machine that stops loses it."""
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            flush_file(file.fileno())
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
