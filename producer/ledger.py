"""Ledger: processed files, submitted jobs and batches, in SQLite, so that a restart repeats nothing."""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from shared.errors import ArtDreamError
from shared.jobs.job import Job, Lane
from shared.private_folder import create_private_folder

#: File name of the ledger in the data folder.
LEDGER_FILE_NAME = "ledger.sqlite3"

#: Seconds to wait for another process's lock (`artdream watch` and `artdream send` share one ledger), and between two
#: attempts where SQLite does not wait by itself.
_LOCK_TIMEOUT_SECONDS, _LOCK_RETRY_SECONDS = 5, 0.01

#: The largest integer of SQLite, as a time in ns the year 2262. Cameras with a broken clock write files of any year.
_MAX_MTIME_NS = 2**63 - 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (      -- files of watched folders that were dealt with
  path BLOB PRIMARY KEY,                -- bytes: a file name need not be text
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  photo_id TEXT NOT NULL                -- '' where the file was not or could not be read
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS baselines (  -- folders whose first content is left alone; its files are in `files`
  folder BLOB PRIMARY KEY
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
CREATE TABLE IF NOT EXISTS uploads (    -- photos that follow the working photo with which their job went out
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  photo_id TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS causes (     -- why a guest's file was refused; apart, for versions that know no causes
  number INTEGER PRIMARY KEY,           -- of the row in `spool`
  cause TEXT NOT NULL                   -- JSON
);
CREATE TABLE IF NOT EXISTS open (       -- jobs that were submitted and are not known to have ended
  job_id TEXT PRIMARY KEY,
  job TEXT NOT NULL                     -- JSON
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS last_known ( -- when jobs in `open` were unfinished; apart, for versions without these times
  job_id TEXT PRIMARY KEY,              -- '' for all that were in `open` at that time
  at REAL NOT NULL                      -- epoch seconds
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


#: Jobs that were last known to be unfinished at a time or earlier. Earlier versions recorded the time of the submission
#: alone, in `photos`; a job of which no time is known is not selected.
_SELECT_JOBS_KNOWN_BEFORE = """
SELECT open.job_id FROM open LEFT JOIN last_known USING (job_id)
LEFT JOIN photos ON photos.photo_id = json_extract(open.job, '$.photo_id') AND photos.job_id = open.job_id
WHERE max(coalesce(last_known.at, photos.at), coalesce((SELECT at FROM last_known WHERE job_id = ''), 0)) <= ?
"""


class LedgerError(ArtDreamError):
    """The ledger cannot be read or written; the same call may be tried again."""


class IncompatibleJob(ArtDreamError):
    """A job was recorded by another version of ArtDream, and only that version can read it."""


class FileVersion(NamedTuple):
    """Size and modification time of a file, which identify its content without reading it."""

    #: Bytes.
    size: int
    mtime_ns: int

    @classmethod
    def from_stat(cls, status: os.stat_result) -> Self:
        """Return the version of a file. A time outside the database's range is clamped to it."""
        return cls(status.st_size, max(-_MAX_MTIME_NS, min(status.st_mtime_ns, _MAX_MTIME_NS)))


class File(NamedTuple):
    """A file in one version."""

    path: Path
    version: FileVersion


class Ledger:
    """Database of one data folder. Safe for use by several threads and several processes at once."""

    def __init__(self, data_folder: Path) -> None:
        """Open the ledger of a data folder, and create both if missing. Raises LedgerError."""
        self.data_folder = data_folder
        self._path = data_folder / LEDGER_FILE_NAME
        self._lock = threading.Lock()
        try:
            create_private_folder(data_folder)
            self._connection = sqlite3.connect(self._path, timeout=_LOCK_TIMEOUT_SECONDS, check_same_thread=False)
            self._close = weakref.finalize(self, self._connection.close)
            self._enable_write_ahead_log()
            self._connection.execute("PRAGMA synchronous=NORMAL")  # `transaction` says what that means
            # On macOS SQLite leaves what it flushes in the cache of the drive otherwise.
            self._connection.execute("PRAGMA fullfsync=1")
            self._connection.execute("PRAGMA checkpoint_fullfsync=1")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"The ledger {self._path} cannot be opened: {error}.") from error

    def _enable_write_ahead_log(self) -> None:
        """Set the journal mode. Of several processes that do so for a new ledger at once, SQLite lets none wait."""
        deadline = time.monotonic() + _LOCK_TIMEOUT_SECONDS
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_RETRY_SECONDS)

    def close(self) -> None:
        """Close the ledger; no effect if it is closed. Garbage collection closes it, too."""
        self._close()

    def list_processed_files(self, folder: Path) -> dict[Path, FileVersion]:
        """Return the processed files of a folder, each with the version that was processed. Raises LedgerError."""
        prefix = os.fsencode(folder) + os.sep.encode()
        rows = self.query("SELECT path, size, mtime_ns FROM files WHERE substr(path, 1, ?) = ?", len(prefix), prefix)
        return {Path(os.fsdecode(path)): FileVersion(size, mtime_ns) for path, size, mtime_ns in rows}

    def has_baseline(self, folder: Path) -> bool:
        """Return whether `record_baseline` was called for a folder. Raises LedgerError."""
        return bool(self.query("SELECT 1 FROM baselines WHERE folder = ?", os.fsencode(folder)))

    def record_baseline(self, folder: Path, files: Sequence[File]) -> None:
        """Record the present files of a folder as processed, and that this was done. Raises LedgerError."""
        with self.transaction() as db:
            for file in files:
                record_file(db, file, "")
            db.execute("INSERT OR REPLACE INTO baselines VALUES (?)", (os.fsencode(folder),))

    def find_sent_photo_id(self, file: File) -> str | None:
        """Return the photo id of a file that was sent before in this version, else None. Raises LedgerError."""
        rows = self.query(
            "SELECT photo_id FROM sent WHERE path = ? AND size = ? AND mtime_ns = ?",
            os.fsencode(file.path),
            *file.version,
        )
        return str(rows[0][0]) if rows else None

    def record_sent_file(self, file: File, photo_id: str) -> None:
        """Record the photo id of a file that was sent. Raises LedgerError."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?)", (*_to_row(file), photo_id))

    def list_submitted_job_ids(self, photo_id: str) -> list[str]:
        """Return the ids of a photo's submitted jobs, oldest first. Raises LedgerError."""
        rows = self.query("SELECT job_id FROM photos WHERE photo_id = ? AND state = 'submitted' ORDER BY at", photo_id)
        return [job_id for (job_id,) in rows]

    def record_submitted_job(self, photo_id: str, job_id: str) -> None:
        """Record that a job was submitted. Raises LedgerError."""
        with self.transaction() as db:
            record_photo(db, photo_id, job_id, "submitted", "")

    def record_unfinished_job(self, job: Job) -> None:
        """Record a submitted job until `forget_jobs`, so that it can be resubmitted. Raises LedgerError."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO open VALUES (?, ?)", (job.id, job.model_dump_json()))
            db.execute("INSERT OR REPLACE INTO last_known VALUES (?, ?)", (job.id, time.time()))

    def list_unfinished_job_ids(self) -> list[str]:
        """Return the ids of the jobs that are not known to have ended, guests' first. Raises LedgerError."""
        rows = self.query("SELECT job_id FROM open ORDER BY job LIKE ?", f'%"lane":"{Lane.BATCH}"%')
        return [job_id for (job_id,) in rows]

    def load_unfinished_job(self, job_id: str) -> Job | None:
        """Return a job that is not known to have ended, by its id; else None.

        Raises LedgerError and IncompatibleJob.
        """
        rows = self.query("SELECT job FROM open WHERE job_id = ?", job_id)
        try:
            return Job.model_validate_json(rows[0][0]) if rows else None
        except ValidationError as error:
            raise IncompatibleJob(
                f"Job {job_id} in the ledger is of another version of ArtDream than this, and was left out."
            ) from error

    def record_check(
        self, ended_job_ids: Sequence[str], missing_job_ids: Sequence[str], ended_ttl_seconds: float
    ) -> set[str]:
        """Record the result of a check of all unfinished jobs, and forget those that have ended.

        missing_job_ids: jobs that the broker does not know. Of these, too, those have ended that were recorded
        `ended_ttl_seconds` ago or longer, if no other check was made since; their ids are returned. Raises LedgerError.
        """
        with self.transaction() as db:
            expired_ids = set[str]()
            if missing_job_ids:
                rows = db.execute(_SELECT_JOBS_KNOWN_BEFORE, (time.time() - ended_ttl_seconds,))
                expired_ids = {job_id for (job_id,) in rows}.intersection(missing_job_ids)
            _forget_jobs(db, [*ended_job_ids, *expired_ids])
            db.execute("INSERT OR REPLACE INTO last_known VALUES ('', ?)", (time.time(),))
        return expired_ids

    def forget_jobs(self, job_ids: Sequence[str]) -> None:
        """Delete jobs from the unfinished ones. Raises LedgerError."""
        with self.transaction() as db:
            _forget_jobs(db, job_ids)

    def flush_to_disk(self) -> bool:
        """Flush all committed rows to disk, so that a power cut cannot lose them.

        Returns False if another process currently prevents it. Raises LedgerError.
        """
        return not self.query("PRAGMA wal_checkpoint(FULL)")[0][0]

    def forget_files(self, paths: Sequence[Path]) -> None:
        """Delete processed files that no longer exist. Raises LedgerError."""
        with self.transaction() as db:
            db.executemany("DELETE FROM files WHERE path = ?", [(os.fsencode(path),) for path in paths])

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query. Raises LedgerError."""
        try:
            with self._lock:
                rows: list[tuple[Any, ...]] = self._connection.execute(sql, parameters).fetchall()
                return rows
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be read: {error}.") from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a transaction: committed at the end of the context, rolled back on an exception. Raises LedgerError.

        No other thread or process can write meanwhile, so that the files that belong to rows may be changed with them.
        durable: flush it to disk, with all before it. A power cut may undo the last other transactions, but never
        corrupts the file; what they recorded is determined again.
        """
        try:
            with self._lock:
                self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                with self._connection:
                    self._connection.execute("BEGIN IMMEDIATE")
                    yield self._connection
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be written: {error}.") from error


def record_photo(db: sqlite3.Connection, photo_id: str, job_id: str, state: str, reason: str) -> None:
    """Record the outcome of a photo: `state` is "submitted" or "refused", `job_id` and `reason` may be ""."""
    row = (photo_id, job_id, state, reason, time.time())
    db.execute("INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?)", row)


def record_file(db: sqlite3.Connection, file: File, photo_id: str) -> None:
    """Record that a file of a watched folder was processed."""
    db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (*_to_row(file), photo_id))


def _forget_jobs(db: sqlite3.Connection, job_ids: Sequence[str]) -> None:
    for table in ("open", "last_known"):
        db.executemany(f"DELETE FROM {table} WHERE job_id = ?", [(job_id,) for job_id in job_ids])  # noqa: S608


def _to_row(file: File) -> tuple[bytes, int, int]:
    return os.fsencode(file.path), *file.version
