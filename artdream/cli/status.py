"""`artdream status`: print running components, queue lengths and recent errors."""

import time
from collections import Counter

from rich.console import Console

from producer.ledger import LEDGER_FILE_NAME, Ledger
from shared.broker.client import connect
from shared.jobs.events import STREAM_START_ID, Completed, EventReader, Failed, FileRejected, RecordedEvent
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.rejected_messages import format_rejection_counts, read_rejection_counts
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.settings import Settings

#: Recent errors that are printed.
MAX_LISTED_ERRORS = 5


def print_status(settings: Settings, console: Console) -> None:
    """Print the state of an installation. Raises ArtDreamError if the settings name no broker."""
    _print_outbox(settings, console)
    client = connect(settings.broker)
    client.ping()
    for heartbeat in HeartbeatRegistry(client).list_heartbeats():
        age = _format_age(time.time() - heartbeat.since)
        console.print(
            f"{heartbeat.part:9} {heartbeat.name:24} {heartbeat.state} for {age}  {heartbeat.detail}", markup=False
        )
    lanes = ", ".join(f"{count_queued(client, lane)} {lane}" for lane in Lane)
    console.print(f"waiting   {lanes}")
    if counts := read_rejection_counts(client):
        console.print(f"rejected  {format_rejection_counts(counts)}", soft_wrap=True)
    events = _read_all_events(EventReader(client))
    count = Counter(type(recorded.event) for recorded in events)
    console.print(f"ended     {count[Completed]} dreams, {count[Failed]} failed, {count[FileRejected]} files set aside")
    errors = [recorded for recorded in events if isinstance(recorded.event, Failed | FileRejected)]
    for recorded in errors[-MAX_LISTED_ERRORS:]:
        clock = time.strftime("%a %H:%M:%S", time.localtime(recorded.recorded_at))
        match recorded.event:
            case Failed() as failed:
                console.print(f"{clock}  job {failed.job_id[:8]} failed: {failed.reason}", markup=False, soft_wrap=True)
            case FileRejected() as rejected:
                console.print(f"{clock}  Set aside: {rejected.file} {rejected.reason}.", markup=False, soft_wrap=True)


def _print_outbox(settings: Settings, console: Console) -> None:
    """Print the length of the local outbox. Called first, because it needs no broker."""
    if not (settings.data / LEDGER_FILE_NAME).exists():
        return
    ledger = Ledger(settings.data)
    [(count,)] = ledger.query("SELECT count(*) FROM spool")
    ledger.close()
    if count:
        console.print(f"spool     {count} photos wait here until store and broker can be reached")


def _read_all_events(reader: EventReader) -> list[RecordedEvent]:
    events, previous_position = reader.read(), STREAM_START_ID
    while reader.position != previous_position:
        previous_position = reader.position
        events += reader.read()
    return events


def _format_age(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
