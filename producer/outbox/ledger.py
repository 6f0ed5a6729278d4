"""The ledger: what the producer has seen and what became of it, in SQLite, so that a restart repeats nothing."""

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from shared.errors import ArtDreamError
from shared.jobs.job import Job

#: Name of the ledger in the data folder.
LEDGER_FILE_NAME = "ledger.sqlite3"

#: Seconds to wait for another process (a watch and a send share one ledger).
_LOCK_TIMEOUT_SECONDS = 5

#: The last time that SQLite can keep, in nanoseconds: 2262. Files may be of any year, photos of broken cameras are.
_MAX_MTIME_NS = 2**63 - 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (      -- files of watched folders that were dealt with
  path BLOB PRIMARY KEY,                -- bytes: a file name need not be text
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  photo_id TEXT NOT NULL                -- '' where the file could not even be read
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent (       -- files that were sent by name, so that a second time need not read them
  path BLOB PRIMARY KEY,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  photo_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
  photo_id TEXT NOT NULL,
  job_id TEXT NOT NULL,                 -- '' for a refused one
  state TEXT NOT NULL CHECK (state IN ('submitted', 'refused')),
  reason TEXT NOT NULL,
  at REAL NOT NULL,                     -- epoch seconds
  PRIMARY KEY (photo_id, job_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spool (      -- what has to go out, in order
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  file TEXT NOT NULL,                   -- name, for people
  photo_id TEXT NOT NULL,
  job TEXT NOT NULL,                    -- JSON; '' for a refusal
  reason TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS open (       -- jobs that were submitted and are not known to have ended
  job_id TEXT PRIMARY KEY,
  job TEXT NOT NULL                     -- JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
  batch TEXT NOT NULL,
  number INTEGER NOT NULL,
  path BLOB NOT NULL,
  recipe TEXT NOT NULL,
  seed INTEGER NOT NULL,
  job_id TEXT NOT NULL,                 -- '' where the file was refused
  reason TEXT NOT NULL,
  at REAL NOT NULL,
  PRIMARY KEY (batch, number)
) WITHOUT ROWID;
"""


class LedgerError(ArtDreamError):
    """The ledger cannot be read or written; the same call may be tried again."""


class FileVersion(NamedTuple):
    """What tells one state of a file from the next without reading it."""

    size: int
    mtime_ns: int

    @classmethod
    def from_stat(cls, status: os.stat_result) -> Self:
        """Return the state that a file is in. A time beyond what the database can keep is the last that it can."""
        return cls(status.st_size, max(-_MAX_MTIME_NS, min(status.st_mtime_ns, _MAX_MTIME_NS)))


class File(NamedTuple):
    """A file in one state."""

    path: Path
    version: FileVersion


class Ledger:
    """The memory of one data folder. May be used from several threads, and by several processes at once."""

    def __init__(self, data_folder: Path) -> None:
        """Open the ledger of a data folder, creating both. Raises LedgerError."""
        #: The data folder.
        self.data_folder = data_folder
        self._path = data_folder / LEDGER_FILE_NAME
        self._lock = threading.Lock()
        try:
            data_folder.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, check_same_thread=False)
            self._connection.execute("PRAGMA journal_mode=WAL")
            # A power cut may cost the last rows, never the file; what they told is found out again.
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"The ledger {self._path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Close the ledger."""
        self._connection.close()

    def list_processed_files(self, folder: Path) -> dict[Path, FileVersion]:
        """Return the files of a folder that were dealt with, each in the state it had then. Raises LedgerError."""
        prefix = os.fsencode(folder) + os.sep.encode()
        rows = self.query("SELECT path, size, mtime_ns FROM files WHERE substr(path, 1, ?) = ?", len(prefix), prefix)
        return {Path(os.fsdecode(path)): FileVersion(size, mtime_ns) for path, size, mtime_ns in rows}

    def find_sent_photo_id(self, file: File) -> str | None:
        """Return the id of the photo in a file that was sent before, and has not changed since. Raises LedgerError."""
        rows = self.query(
            "SELECT photo_id FROM sent WHERE path = ? AND size = ? AND mtime_ns = ?",
            os.fsencode(file.path),
            *file.version,
        )
        return str(rows[0][0]) if rows else None

    def record_sent_file(self, file: File, photo_id: str) -> None:
        """Record which photo is in a file that is sent. Raises LedgerError."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?)", (*_to_row(file), photo_id))

    def list_submitted_job_ids(self, photo_id: str) -> list[str]:
        """Return the ids of the jobs that a photo was submitted for. Raises LedgerError."""
        rows = self.query("SELECT job_id FROM photos WHERE photo_id = ? AND state = 'submitted' ORDER BY at", photo_id)
        return [job_id for (job_id,) in rows]

    def record_submitted_job(self, photo_id: str, job_id: str) -> None:
        """Record that a job is on its way. Raises LedgerError."""
        with self.transaction() as db:
            record_photo(db, photo_id, job_id, "submitted", "")

    def record_unfinished_job(self, job: Job) -> None:
        """Record a job that is submitted, until it has ended. Raises LedgerError."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO open VALUES (?, ?)", (job.id, job.model_dump_json()))

    def list_unfinished_job_ids(self) -> list[str]:
        """Return the ids of the jobs that are not known to have ended. Raises LedgerError."""
        return [job_id for (job_id,) in self.query("SELECT job_id FROM open")]

    def load_unfinished_job(self, job_id: str) -> Job | None:
        """Return one of them. Raises LedgerError."""
        rows = self.query("SELECT job FROM open WHERE job_id = ?", job_id)
        return Job.model_validate_json(rows[0][0]) if rows else None

    def forget_jobs(self, job_ids: Sequence[str]) -> None:
        """Remember jobs no longer. Raises LedgerError."""
        with self.transaction() as db:
            db.executemany("DELETE FROM open WHERE job_id = ?", [(job_id,) for job_id in job_ids])

    def flush_to_disk(self) -> bool:
        """Make what is written outlive a power cut; False where another process keeps that from being done now.

        Raises LedgerError.
        """
        return not self.query("PRAGMA wal_checkpoint(FULL)")[0][0]

    def forget_files(self, paths: Sequence[Path]) -> None:
        """Remember files of watched folders no longer: they are gone. Raises LedgerError."""
        with self.transaction() as db:
            db.executemany("DELETE FROM files WHERE path = ?", [(os.fsencode(path),) for path in paths])

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return what a query finds. Raises LedgerError."""
        try:
            with self._lock:
                rows: list[tuple[Any, ...]] = self._connection.execute(sql, parameters).fetchall()
                return rows
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be read: {error}.") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction, of which all or nothing is written at the end. Raises LedgerError."""
        try:
            with self._lock, self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be written: {error}.") from error


def record_photo(db: sqlite3.Connection, photo_id: str, job_id: str, state: str, reason: str) -> None:
    """Record what became of a photo."""
    row = (photo_id, job_id, state, reason, time.time())
    db.execute("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?)", row)


def record_file(db: sqlite3.Connection, file: File, photo_id: str) -> None:
    """Record that a file of a watched folder was dealt with."""
    db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (*_to_row(file), photo_id))


def _to_row(file: File) -> tuple[bytes, int, int]:
    return os.fsencode(file.path), *file.version
