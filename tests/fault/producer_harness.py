"""A real `artdream watch` on an inbox of hostile files, and the outcome of each file."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from producer.ledger import LEDGER_FILE_NAME, Ledger
from shared.broker.client import connect
from shared.jobs.events import EventReader, FileRejected
from shared.jobs.table import JobTable
from shared.storage.quarantine import make_printable
from tests.pictures import encode_jpeg, make_picture
from tests.waiting import WAIT_TIMEOUT_SECONDS

#: Seconds without another handled file after which the producer counts as hung.
HANG_TIMEOUT_SECONDS = 60.0


@dataclass
class FuzzOutcome:
    """The outcomes of the dropped files."""

    pictures: int = 0
    #: Refusals by reason.
    refusals: Counter[str] = field(default_factory=Counter)
    #: Names of files that were neither accepted nor refused.
    unanswered: list[str] = field(default_factory=list)
    #: Names of files that crashed a decoder.
    crashed: list[str] = field(default_factory=list)
    #: Names of files that took too long to decode.
    timed_out: list[str] = field(default_factory=list)


class ProducerHarness:
    """A producer that receives hostile files. A context manager; counts the producer's crashes and hangs."""

    def __init__(self, folder: Path, broker_url: str, *, decode_seconds: float = 10) -> None:
        self.inbox, self.data, self.log = folder / "inbox", folder / "data", folder / "watch.log"
        self.client = connect(broker_url)
        self.crashes = self.hangs = self.good_photo_count = 0
        #: Largest resident set in megabytes of the producer and of a decoder.
        self.peak_megabytes = {"producer": 0.0, "decoder": 0.0}
        settings = {"BROKER_URL": broker_url, "DATA": self.data, "INBOX": self.inbox, "RECIPE": "animals"}
        settings |= {"PATIENCE_SECONDS": 0.3, "SETTLE_SECONDS": 0.1, "DECODE_SECONDS": decode_seconds}
        self._environment = {**os.environ, **{f"ARTDREAM_{name}": str(value) for name, value in settings.items()}}
        self._stop_event = threading.Event()

    def __enter__(self) -> Self:
        self.inbox.mkdir(parents=True)
        self._start_producer()
        self._memory_thread = threading.Thread(target=self._track_memory)
        self._memory_thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_event.set()
        self._memory_thread.join()
        self.process.terminate()
        self.process.wait(WAIT_TIMEOUT_SECONDS)
        self.client.close()

    def drop_file(self, name: bytes, data: bytes) -> Path:
        """Drop a file into the inbox atomically; return its path."""
        draft, path = self.inbox / ".dropped", Path(os.fsdecode(os.path.join(os.fsencode(self.inbox), name)))
        draft.write_bytes(data)
        draft.rename(path)
        return path

    def wait_until_handled(self, paths: Sequence[Path]) -> None:
        """Wait until each file is handled. Count a producer that ended or hangs; restart it if it ended.

        Return early after 20 crashes, or if no file is handled for `HANG_TIMEOUT_SECONDS`.
        """
        unhandled_count, handled_at = len(paths), time.monotonic()
        while current_count := len(self._list_unhandled(paths)):
            if current_count < unhandled_count:
                unhandled_count, handled_at = current_count, time.monotonic()
            if self.process.poll() is not None:
                self.crashes += 1
                if self.crashes > 20:
                    return
                self._start_producer()
            elif time.monotonic() - handled_at > HANG_TIMEOUT_SECONDS:
                self.hangs += 1
                return
            time.sleep(0.05)

    def accepts_good_photo(self) -> bool:
        """Drop a valid photo and return whether it becomes a job."""
        self.good_photo_count += 1
        path = self.drop_file(
            b"good-%d.jpg" % self.good_photo_count, encode_jpeg(make_picture(10_000 + self.good_photo_count, (96, 72)))
        )
        self.wait_until_handled([path])
        return self.collect_outcome([path]).pictures == 1

    def collect_outcome(self, paths: Iterable[Path]) -> FuzzOutcome:
        """Return the outcomes of handled files; wait until the outbox is empty."""
        ledger, deadline = Ledger(self.data), time.monotonic() + HANG_TIMEOUT_SECONDS
        while ledger.query("SELECT count(*) FROM spool")[0][0] and time.monotonic() < deadline:
            time.sleep(0.05)
        photos = {os.fsdecode(path): photo for path, photo in ledger.query("SELECT path, photo_id FROM files")}
        jobs = dict(ledger.query("SELECT photo_id, job_id FROM photos WHERE state = 'submitted'"))
        ledger.close()
        reasons, table, outcome = self._read_refusals(), JobTable(self.client), FuzzOutcome()
        for path in paths:
            job_id = jobs.get(photos.get(str(path), ""), "")
            if job_id and table.get_state(job_id):
                outcome.pictures += 1
            elif reason := reasons.get(make_printable(path)):
                outcome.refusals[reason] += 1
                outcome.crashed += [make_printable(path)] if "crash" in reason else []
                outcome.timed_out += [make_printable(path)] if "took longer" in reason else []
            else:
                outcome.unanswered.append(make_printable(path))
        return outcome

    def _list_unhandled(self, paths: Sequence[Path]) -> list[Path]:
        if not (self.data / LEDGER_FILE_NAME).exists():
            return list(paths)
        ledger = Ledger(self.data)
        handled = {os.fsdecode(path) for (path,) in ledger.query("SELECT path FROM files")}
        ledger.close()
        return [path for path in paths if str(path) not in handled]

    def _read_refusals(self) -> dict[str, str]:
        reader, reasons, previous_position = EventReader(self.client), dict[str, str](), ""
        while reader.position != previous_position:
            previous_position = reader.position
            for recorded in reader.read():
                if isinstance(recorded.event, FileRejected):
                    reasons[recorded.event.file] = recorded.event.reason
        return reasons

    def _start_producer(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "artdream", "watch"]
            self.process = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, cwd=self.data.parent
            )

    def _track_memory(self) -> None:
        while not self._stop_event.wait(0.1):
            try:
                root = psutil.Process(self.process.pid)
                self._record_memory("producer", root)
                for child in root.children():
                    self._record_memory("decoder", child)
            except psutil.Error:  # one of them ended
                continue

    def _record_memory(self, component: str, process: psutil.Process) -> None:
        self.peak_megabytes[component] = max(self.peak_megabytes[component], process.memory_info().rss / 1e6)
