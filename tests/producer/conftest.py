"""Fixtures: a producer on an inbox, and its effects on broker and data folder."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis

from producer.watch import run
from shared.jobs.events import Accepted, Event, EventReader, FileRejected, Queued
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.settings import Settings
from tests.waiting import WAIT_TIMEOUT_SECONDS


class ProducerThread:
    """`artdream watch` in a thread; may be stopped and started again."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.settings, self.inbox, self.client = settings, settings.inbox, client

    def start(self, *, folders: Sequence[Path] = (), new_only: bool = False, **overrides: object) -> None:
        """Start the producer.

        folders: folders to watch, by default the inbox. new_only: leave alone what was there before the first start.
        overrides: settings to change, by name.
        """
        self._stop_event = threading.Event()
        self._errors: list[BaseException] = []
        settings = self.settings.model_copy(update=overrides)
        self._thread = threading.Thread(target=self._run, args=(settings, folders, new_only), daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Stop the producer and return the seconds that took; re-raise its exception."""
        started = time.monotonic()
        self._stop_event.set()
        self._thread.join(WAIT_TIMEOUT_SECONDS)
        assert not self._thread.is_alive(), "it does not stop"
        for error in self._errors:
            raise error
        return time.monotonic() - started

    def read_events(self) -> list[Event]:
        """Return all events of the stream, oldest first."""
        return [recorded.event for recorded in EventReader(self.client).read()]

    def count_queued_jobs(self) -> Counter[str]:
        """Return how often each job was queued; assert that no job was queued more often than accepted."""
        queued = Counter(event.job_id for event in self.read_events() if isinstance(event, Queued))
        accepted = Counter(event.job_id for event in self.read_events() if isinstance(event, Accepted))
        assert queued <= accepted
        return queued

    def count_waiting(self, lane: Lane = Lane.LIVE) -> int:
        """Return the number of messages in a lane's queue."""
        return count_queued(self.client, lane)

    def read_refusals(self) -> dict[str, str]:
        """Return the reasons of refused files, by file name."""
        return {event.file: event.reason for event in self.read_events() if isinstance(event, FileRejected)}

    def has_handled(self, count: int) -> bool:
        """Return whether at least `count` files are queued or refused."""
        return self.count_waiting() + len(self.read_refusals()) >= count

    def list_quarantine(self) -> dict[str, Path]:
        """Return the files in the quarantine, by their names without the photo id prefix."""
        return {file.name.partition("-")[2]: file for file in (self.settings.data / "quarantine").glob("*")}

    def _run(self, settings: Settings, folders: Sequence[Path], new_only: bool) -> None:
        try:
            run(settings, self._stop_event, folders=folders, new_only=new_only)
        except BaseException as error:
            self._errors.append(error)


@pytest.fixture
def producer_thread(settings: Settings, client: redis.Redis) -> Iterator[ProducerThread]:
    """A producer on an empty inbox, not started."""
    producer = ProducerThread(settings.model_copy(update={"patience_seconds": 0.6}), client)
    yield producer
    if hasattr(producer, "_thread"):
        producer._stop_event.set()
        producer._thread.join(WAIT_TIMEOUT_SECONDS)
