"""A producer at work on an inbox, and what can be seen of it from outside."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis

from producer.watch import run
from shared.jobs.events import Accepted, Event, EventReader, FileRejected, Queued
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.settings import Settings
from tests import servers


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    servers.wait_until(condition, "it never came true")


class ProducerThread:
    """`artdream watch`, in a thread of its own; may be stopped and started again."""

    def __init__(self, settings: Settings, client: redis.Redis) -> None:
        self.settings, self.inbox, self.client = settings, settings.inbox, client

    def start(self, *, folders: Sequence[Path] = (), **overrides: object) -> None:
        """Start it, with settings changed."""
        self._stop_event = threading.Event()
        self._errors: list[BaseException] = []
        settings = self.settings.model_copy(update=overrides)
        self._thread = threading.Thread(target=self._run, args=(settings, folders), daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Stop it and return the seconds that took; raise what it raised."""
        started = time.monotonic()
        self._stop_event.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "it does not stop"
        for fault in self._errors:
            raise fault
        return time.monotonic() - started

    def read_events(self) -> list[Event]:
        """Return everything that has happened."""
        return [recorded.event for recorded in EventReader(self.client).read()]

    def count_queued_jobs(self) -> Counter[str]:
        """Return how often each job was put into its lane; each must be in its lane just as often."""
        queued = Counter(event.job_id for event in self.read_events() if isinstance(event, Queued))
        accepted = Counter(event.job_id for event in self.read_events() if isinstance(event, Accepted))
        assert queued <= accepted
        return queued

    def count_waiting(self, lane: Lane = Lane.LIVE) -> int:
        """Return how many messages wait in a lane."""
        return count_queued(self.client, lane)

    def read_refusals(self) -> dict[str, str]:
        """Return what was refused, and why, by file name."""
        return {event.file: event.reason for event in self.read_events() if isinstance(event, FileRejected)}

    def has_handled(self, count: int) -> bool:
        """Tell whether so many files are in the lane or refused."""
        return self.count_waiting() + len(self.read_refusals()) >= count

    def list_quarantine(self) -> dict[str, Path]:
        """Return what is in the quarantine, by the part of the name after the photo's id."""
        return {file.name.partition("-")[2]: file for file in (self.settings.data / "quarantine").glob("*")}

    def _run(self, settings: Settings, folders: Sequence[Path]) -> None:
        try:
            run(settings, self._stop_event, folders=folders)
        except BaseException as fault:
            self._errors.append(fault)


@pytest.fixture
def producer_thread(settings: Settings, client: redis.Redis) -> Iterator[ProducerThread]:
    """A producer on an empty inbox, not yet started."""
    watching = ProducerThread(settings.model_copy(update={"patience_seconds": 0.6}), client)
    yield watching
    if hasattr(watching, "_thread"):
        watching._stop_event.set()
        watching._thread.join(20)
