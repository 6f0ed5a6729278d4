"""The ledger: what the producer has seen and what became of it, in SQLite, so that a restart repeats nothing."""

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from shared.errors import ArtDreamError

#: Name of the ledger in the data folder.
FILE = "ledger.sqlite3"

#: Seconds to wait for another process (a watch and a send share one ledger).
_PATIENCE = 5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY,          -- bytes: a file name need not be text
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  photo_id TEXT NOT NULL          -- '' where the file could not even be read
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photos (
  photo_id TEXT NOT NULL,
  job_id TEXT NOT NULL,           -- '' for a refused one
  state TEXT NOT NULL CHECK (state IN ('submitted', 'refused')),
  reason TEXT NOT NULL,
  at REAL NOT NULL,               -- epoch seconds
  PRIMARY KEY (photo_id, job_id)
) WITHOUT ROWID;
"""


class LedgerError(ArtDreamError):
    """The ledger cannot be read or written; the same call may be tried again."""


class Mark(NamedTuple):
    """What tells one state of a file from the next without reading it."""

    size: int
    mtime_ns: int


class File(NamedTuple):
    """A file in one state."""

    path: Path
    mark: Mark


class Ledger:
    """The memory of one data folder. May be used from several threads, and by several processes at once."""

    def __init__(self, folder: Path) -> None:
        """Open the ledger of a data folder, creating both. Raises LedgerError."""
        self._path = folder / FILE
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self._path, timeout=_PATIENCE, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            # A power cut may cost the last rows, never the file; what they told is found out again.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"The ledger {self._path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Close the ledger."""
        self._db.close()

    def seen(self, folder: Path) -> dict[Path, Mark]:
        """Return the files of a folder that were dealt with, each in the state it had then. Raises LedgerError."""
        prefix = os.fsencode(folder) + os.sep.encode()
        rows = self._read("SELECT path, size, mtime_ns FROM files WHERE substr(path, 1, ?) = ?", len(prefix), prefix)
        return {Path(os.fsdecode(path)): Mark(size, mtime_ns) for path, size, mtime_ns in rows}

    def submitted(self, photo_id: str) -> list[str]:
        """Return the ids of the jobs that a photo was submitted for. Raises LedgerError."""
        rows = self._read("SELECT job_id FROM photos WHERE photo_id = ? AND state = 'submitted' ORDER BY at", photo_id)
        return [job_id for (job_id,) in rows]

    def mark_submitted(self, photo_id: str, job_id: str, file: File | None) -> None:
        """Record that a job is on its way, and which file it came from. Raises LedgerError."""
        self._mark(photo_id, job_id, "submitted", "", file)

    def mark_refused(self, photo_id: str, reason: str, file: File) -> None:
        """Record that a file was set aside. Raises LedgerError."""
        self._mark(photo_id, "", "refused", reason, file)

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                rows: list[tuple[Any, ...]] = self._db.execute(query, values).fetchall()
                return rows
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be read: {error}.") from error

    def _mark(self, photo_id: str, job_id: str, state: str, reason: str, file: File | None) -> None:
        try:
            with self._lock, self._db:
                self._db.execute(
                    "INSERT OR REPLACE INTO photos VALUES (?, ?, ?, ?, ?)",
                    (photo_id, job_id, state, reason, time.time()),
                )
                if file is not None:
                    self._db.execute(
                        "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                        (os.fsencode(file.path), *file.mark, photo_id),
                    )
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger {self._path} cannot be written: {error}.") from error
