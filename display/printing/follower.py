"""The follower: prints dreams by themselves as the events say, and cancels what must not be printed any more."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import redis

from shared.jobs.events import (
    Completed,
    Deleted,
    EventLog,
    EventReader,
    Hidden,
    RecordedEvent,
    RuntimeSettingsChanged,
    Shown,
)
from shared.jobs.table import JobTable
from shared.printing.prints import AUTOMATIC, Print, PrintState, parse_print
from shared.printing.records import cancel_print, persist_print
from shared.printing.table import PrintOutcome, PrintTable
from shared.runtime_settings import RuntimeSettings, read_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import DREAMS_PREFIX, print_name
from shared.storage.sidecar import Visibility, read_sidecar
from shared.storage.store import Store

logger = logging.getLogger(__name__)

#: Why a print was cancelled.
HIDDEN_REASON = "The dream is not shown any more."
EVENT_LIMIT_REASON = "The limit of the event was reached."

#: Records that are read at a time: a remote bucket answers many requests as fast as one.
_MAX_PARALLEL_READS = 16

#: Seconds that the clocks of store and broker may differ.
_CLOCK_TOLERANCE_SECONDS = 120.0


class DreamFollower:
    """Follows the dreams of an installation while one connection to the broker lasts.

    The rule for automatic prints needs no position in the stream: each visible dream completed since `print_since` is
    printed of which the store has no record of an automatic print. Methods raise RedisError and StoreError.
    """

    def __init__(self, settings: Settings, client: redis.Redis, store: Store) -> None:
        self._settings, self._client, self._store = settings, client, store
        self._prints, self._jobs = PrintTable(client), JobTable(client)
        self._reader = EventReader(
            client, EventLog(client).last_id()
        )  # what follows is read, what is past is looked up
        #: As of the last change.
        self.runtime_settings: RuntimeSettings = read_runtime_settings(client, settings)

    def restore(self) -> None:
        """Restore the prints of a wiped broker from the store. Whether unfinished ones were sent is unknown."""
        names = [entry.name for entry in self._store.list_objects(DREAMS_PREFIX) if _is_record(entry.name)]
        with ThreadPoolExecutor(_MAX_PARALLEL_READS, "print-reader") as readers:
            records = [record for record in map(parse_print, readers.map(self._store.get, names)) if record]
        for record in records:
            if record.is_finished and record.event != self.runtime_settings.opened_at:
                continue  # of an earlier event, whose limits no longer matter
            state = record.state if record.is_finished or record.server_job else PrintState.SUBMITTING
            self._prints.restore(record.model_copy(update={"state": state}))
        if records:
            logger.info("%d prints were read from the store.", len(records))

    def catch_up(self) -> None:
        """Process what was missed while no agent ran: dreams that were completed, shown, hidden or deleted."""
        for record in self._prints.list_queue():
            if not self.is_visible(record.job_id):
                cancel_print(self._prints, self._store, record, HIDDEN_REASON)
        since = self.runtime_settings.print_since
        if not since:
            return
        for job_id in self._list_unprinted(since):
            sidecar = read_sidecar(self._store, job_id)
            if sidecar and sidecar.completed_at >= since and self.is_visible(job_id):
                self._print_automatically(job_id)

    def follow(self, wait_seconds: float) -> None:
        """Handle the next events; if there are none, wait for one."""
        for recorded in self._reader.read(wait_seconds=wait_seconds):
            self._handle(recorded)

    def is_visible(self, job_id: str) -> bool:
        """Return whether guests may see a dream, by what the broker and the store say."""
        if self._jobs.are_not_visible([job_id])[0]:
            return False
        sidecar = read_sidecar(self._store, job_id)
        return sidecar is not None and sidecar.standing is Visibility.SHOWN

    def _handle(self, recorded: RecordedEvent) -> None:
        since = self.runtime_settings.print_since
        match recorded.event:
            case Completed() as event:
                if since and not recorded.held and recorded.recorded_at >= since:
                    self._print_automatically(event.job_id)
            case Shown() as event:
                if since and event.dreamt_at >= since:
                    self._print_automatically(event.job_id)
            case Hidden() | Deleted() as event:
                for record in self._prints.list_of_dream(event.job_id):
                    cancel_print(self._prints, self._store, record, HIDDEN_REASON)
            case RuntimeSettingsChanged():
                self.runtime_settings = read_runtime_settings(self._client, self._settings)

    def _print_automatically(self, job_id: str) -> None:
        """Accept the automatic print of a dream, unless the store says that this was done before."""
        record = Print(job_id=job_id, requester=AUTOMATIC, number=1, event=self.runtime_settings.opened_at)
        if self._store.exists(print_name(job_id, AUTOMATIC, 1)):
            return
        outcome = self._prints.request(self._settings, job_id, AUTOMATIC, event=record.event)
        if outcome is PrintOutcome.EVENT_LIMIT:
            # A limit that is raised later prints the dreams to come, not all that were left out.
            record = record.model_copy(update={"state": PrintState.CANCELLED, "reason": EVENT_LIMIT_REASON})
            self._prints.restore(record)
        elif outcome is PrintOutcome.ACCEPTED:
            record = self._prints.get(record.id) or record
        else:
            return
        persist_print(self._store, record)

    def _list_unprinted(self, since: float) -> Iterator[str]:
        """Yield the dreams that changed since an epoch time and have no record of an automatic print."""
        changed, printed = [], set()
        for entry in self._store.list_objects(DREAMS_PREFIX):
            job_id = entry.name.split("/")[1]
            if entry.name == print_name(job_id, AUTOMATIC, 1):
                printed.add(job_id)
            elif entry.name.endswith("/dream.json") and entry.modified.timestamp() >= since - _CLOCK_TOLERANCE_SECONDS:
                changed.append((entry.modified, job_id))
        return (job_id for _, job_id in sorted(changed) if job_id not in printed)


def _is_record(name: str) -> bool:
    return "/prints/" in name and name.endswith(".json")
