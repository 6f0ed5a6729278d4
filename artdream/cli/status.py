"""`artdream status`: running components, queue lengths and recent errors."""

import time
from collections import Counter

import redis
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from producer.ledger import LEDGER_FILE_NAME, Ledger
from shared.broker.client import connect
from shared.jobs.events import STREAM_START_ID, Completed, EventReader, Failed, FileRejected, RecordedEvent
from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.jobs.rejected_messages import RejectionReason, format_rejection_counts, read_rejection_counts
from shared.monitoring.heartbeat import Heartbeat, HeartbeatRegistry
from shared.printing.table import PrintTable
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store
from shared.webhooks.overview import read_webhook_overview

#: Recent errors that are reported.
MAX_REPORTED_ERRORS = 5


class _Report(BaseModel):
    model_config = ConfigDict(frozen=True)


class FinishedCounts(_Report):
    """What has finished, as far back as the event stream goes."""

    dreams: int = Field(description="Completed dreams.")
    failed_jobs: int = Field(description="Failed jobs.")
    rejected_files: int = Field(description="Rejected files.")


class RecentError(_Report):
    """A failed job or a rejected file."""

    time: float = Field(description="When it happened, in seconds since 1970 (UTC).")
    job_id: str = Field(description="The job that failed; empty for a file.")
    file: str = Field(description="The file that was rejected; empty for a job.")
    reason: str = Field(description="Why.")


class PrintSummary(_Report):
    """The prints of an installation."""

    waiting: int = Field(description="Prints that wait or are being printed.")
    printed: int = Field(description="Prints that came out in the current event.")


class WebhookSummary(_Report):
    """The webhook messages of an installation, all endpoints together."""

    waiting: int = Field(description="Messages that wait for their next attempt.")
    given_up: int = Field(description="Messages that were given up.")
    problems: tuple[str, ...] = Field(description="For each endpoint that fails or is disabled, a sentence.")


class Status(_Report):
    """The state of an installation."""

    outbox: int = Field(description="Photos in this machine's outbox: they wait for the store or the broker.")
    components: tuple[Heartbeat, ...] = Field(
        description="Running components: `part`, `name`, `state`, `detail`, `since` in seconds since 1970 (UTC), and "
        "the `lanes` of a worker that does not serve all."
    )
    queued: dict[Lane, int] = Field(description="Queued jobs in each lane.")
    rejected_messages: dict[RejectionReason, int] = Field(description="Messages that were no valid jobs, by reason.")
    finished: FinishedCounts = Field(description="Counts of `dreams`, `failed_jobs` and `rejected_files`.")
    prints: PrintSummary = Field(description="Counts of prints: `waiting`, and `printed` in the current event.")
    webhooks: WebhookSummary = Field(description="Webhooks: `waiting`, `given_up`, and `problems` in sentences.")
    recent_errors: tuple[RecentError, ...] = Field(
        description=f"The last {MAX_REPORTED_ERRORS} errors, oldest first: `time` in seconds since 1970 (UTC), "
        "`job_id` or `file`, and `reason`."
    )


def count_outbox(settings: Settings) -> int:
    """Return the number of photos in the outbox of this machine. Needs no broker."""
    if not (settings.data / LEDGER_FILE_NAME).exists():
        return 0
    ledger = Ledger(settings.data)
    [(count,)] = ledger.query("SELECT count(*) FROM spool")
    ledger.close()
    return int(count)


def read_status(settings: Settings) -> Status:
    """Read the state of an installation. Raises ArtDreamError if the settings name no broker, and RedisError."""
    client = connect(settings.broker)
    client.ping()
    events = _read_all_events(EventReader(client))
    count = Counter(type(recorded.event) for recorded in events)
    errors = [error for recorded in events if (error := _find_error(recorded))]
    return Status(
        outbox=count_outbox(settings),
        components=tuple(HeartbeatRegistry(client).list_heartbeats()),
        queued={lane: count_queued(client, lane) for lane in Lane},
        rejected_messages=read_rejection_counts(client),
        finished=FinishedCounts(dreams=count[Completed], failed_jobs=count[Failed], rejected_files=count[FileRejected]),
        prints=_summarize_prints(client, settings),
        webhooks=_summarize_webhooks(client, settings),
        recent_errors=tuple(errors[-MAX_REPORTED_ERRORS:]),
    )


def print_status(settings: Settings, console: Console) -> None:
    """Print the state of an installation. Raises ArtDreamError if the settings name no broker, and RedisError."""
    if photos := count_outbox(settings):  # printed even if the broker is unavailable
        console.print(f"outbox    {photos} photos wait until store and broker are available")
    status = read_status(settings)
    for heartbeat in status.components:
        age = _format_age(time.time() - heartbeat.since)
        console.print(
            f"{heartbeat.part:9} {heartbeat.name:24} {heartbeat.state} for {age}  {heartbeat.detail}", markup=False
        )
    console.print(f"queued    {', '.join(f'{count} {lane}' for lane, count in status.queued.items())}")
    if status.rejected_messages:
        console.print(f"rejected  {format_rejection_counts(status.rejected_messages)}", soft_wrap=True)
    count = status.finished
    console.print(
        f"finished  {count.dreams} dreams, {count.failed_jobs} failed jobs, {count.rejected_files} rejected files"
    )
    if status.prints.waiting or status.prints.printed:
        console.print(f"prints    {status.prints.waiting} waiting, {status.prints.printed} printed in this event")
    if status.webhooks.waiting or status.webhooks.given_up:
        console.print(f"webhooks  {status.webhooks.waiting} messages waiting, {status.webhooks.given_up} given up")
    for problem in status.webhooks.problems:
        console.print(f"webhooks  {problem}", markup=False, soft_wrap=True)
    for error in status.recent_errors:
        clock = time.strftime("%a %H:%M:%S", time.localtime(error.time))
        subject = f"Job {error.job_id[:8]} failed:" if error.job_id else f"Rejected: {error.file}"
        console.print(f"{clock}  {subject} {error.reason.rstrip('.')}.", markup=False, soft_wrap=True)


def _summarize_prints(client: redis.Redis, settings: Settings) -> PrintSummary:
    prints, event = PrintTable(client), read_runtime_settings(client, settings).opened_at
    return PrintSummary(waiting=len(prints.list_queue()), printed=prints.count(event).printed)


def _summarize_webhooks(client: redis.Redis, settings: Settings) -> WebhookSummary:
    overview = read_webhook_overview(client, Store(settings.store))
    return WebhookSummary(waiting=overview.waiting, given_up=overview.given_up, problems=overview.problems)


def _find_error(recorded: RecordedEvent) -> RecentError | None:
    match recorded.event:
        case Failed() as failed:
            return RecentError(time=recorded.recorded_at, job_id=failed.job_id, file="", reason=failed.reason)
        case FileRejected() as rejected:
            return RecentError(time=recorded.recorded_at, job_id="", file=rejected.file, reason=rejected.reason)
    return None


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
