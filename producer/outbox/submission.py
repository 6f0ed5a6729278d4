"""Submission: the only way in which a photo gets into the store and its job into the queue."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import redis

from producer.ledger import IncompatibleJob, Ledger
from shared.api.jobs import record_refusal
from shared.broker.client import connect, describe_error
from shared.errors import ArtDreamError
from shared.guest_upload_names import parse_file_name
from shared.jobs.events import EventLog, FileRejected, Stage
from shared.jobs.job import Job, Origin, State
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.refusal import RefusalCause, RefusalCode
from shared.jobs.state_machine import ENDED_JOB_TTL_SECONDS
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.monitoring.stage_timer import record_stage
from shared.monitoring.tracing import SpanName, describe_job, open_tracer
from shared.monitoring.usage_counts import OTHER_CAUSE, Counted, count
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import has_tombstone
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, motion_name, photo_name, working_photo_name
from shared.storage.photos import has_photo
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: Seconds after which an idle connection to a bucket is closed. TCP remembers lost packets for as long as a connection
#: lasts, and sends less at a time from then on: each guest's photo gets a new connection, unless it follows at once.
STORE_IDLE_SECONDS = 3.0

#: States from which a job may be submitted, for the first time or again.
_SUBMITTABLE_STATES = (None, State.ACCEPTED, State.FAILED, State.CANCELLED)


class Outcome(StrEnum):
    """Result of a submission."""

    SUBMITTED = "submitted"
    KNOWN = "already known"
    REFUSED = "refused"


@dataclass(frozen=True)
class SubmissionResult:
    """A job, and whether this call submitted it."""

    outcome: Outcome
    job: Job


class Unavailable(ArtDreamError):
    """The store or the broker is unavailable; the call may be retried."""


class SubmissionClient:
    """Client for the store and the queue of one installation. Every call is idempotent; use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        """Open the store and the ledger. Raises ArtDreamError if the settings have no broker, or either fails."""
        self.client = connect(settings.broker)
        self._approval = settings.approval
        self._table = JobTable(self.client, approval=self._approval, initialize=self._initialize_runtime_settings)
        self._events = EventLog(self.client)
        self._celery = create_celery_app(settings)
        self._store = Store(settings.store, idle_seconds=STORE_IDLE_SECONDS)
        self._connecting: threading.Thread | None = None
        self._tracer = open_tracer(settings, "producer")
        #: Jobs that this version cannot read, each of which was reported once.
        self._incompatible_job_ids: set[str] = set()
        #: Ledger of the data folder.
        self.ledger = Ledger(settings.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger and the connections to the broker, and send the last spans."""
        self.ledger.close()
        self._celery.close()
        self.client.close()
        self._tracer.close()

    def open_connections(self) -> None:
        """Connect to broker and store ahead of the first photo, as connecting takes many round trips.

        If the settings require approval, the whole installation does from then on. Raises Unavailable.
        """
        with _raise_unavailable():
            self._table.load_scripts()
            if self._approval:
                self._initialize_runtime_settings()
            self._connect_to_store()

    def expect_photo(self) -> None:
        """Connect to the store in the background, because a photo is being decoded. Returns at once.

        Unlike the other methods, it may be called from another thread.
        """
        if self._connecting is None or not self._connecting.is_alive():
            self._connecting = threading.Thread(target=self._try_to_connect_to_store, name="connection", daemon=True)
            self._connecting.start()

    def _try_to_connect_to_store(self) -> None:
        with contextlib.suppress(ArtDreamError):  # The submission reports it.
            self._connect_to_store()

    def _connect_to_store(self) -> None:
        self._store.get(RUNTIME_SETTINGS_NAME)  # Any object will do; it need not exist.

    def submit(
        self,
        job: Job,
        jpeg: bytes,
        *,
        is_working_photo: bool = False,
        motion: bytes = b"",
        added_at: float | None = None,
    ) -> SubmissionResult:
        """Put a photo in the store, then submit its job. Raises Unavailable and LedgerError.

        is_working_photo: `jpeg` is the working photo, and `upload_photo` follows. motion: the video that the photo was
        taken from, as MP4. added_at: when the photo was decoded, in epoch seconds; None: now. A queued, running,
        completed or deleted job is not submitted again; a failed or cancelled one is. Of a deleted job nothing stays
        in the store.
        """
        decoded_at, seconds_until_decoded = added_at or time.time(), sum(job.stages.values())
        with _raise_unavailable():
            state = None
            # A guest's photo that comes for the first time is unknown to the broker, too, except for rare cases, which
            # it finds when it is to accept the job: so the upload need not wait for an answer.
            if not is_working_photo or self.ledger.list_submitted_job_ids(job.photo_id):
                state = self._table.get_state(job.id)
            if state not in _SUBMITTABLE_STATES:
                metrics.count_job(Outcome.KNOWN)
                return SubmissionResult(Outcome.KNOWN, job)
            upload_started_at, started = time.time(), time.perf_counter()
            objects = {(working_photo_name if is_working_photo else photo_name)(job.photo_id): jpeg}
            if motion:
                objects[motion_name(job.photo_id)] = motion
            for name, data in objects.items():
                self._store.put(name, data)
            job = job.model_copy(update={"stages": {**job.stages, Stage.UPLOAD: time.perf_counter() - started}})
            self.ledger.record_unfinished_job(job)
            arrived_seconds_ago = seconds_until_decoded + max(0.0, time.time() - decoded_at)
            is_new = (
                submit(self._celery, self._table, job, arrived_seconds_ago=arrived_seconds_ago)
                or state is State.ACCEPTED
            )
            if state is not None:  # It had ended, and a relay may have forgotten it between the two calls above.
                self.ledger.record_unfinished_job(job)
            if not is_new and self._is_deleted(job.photo_id, job.id):
                for name in objects:
                    self._store.delete(name)
            for stage, seconds in job.stages.items() if is_new else ():
                record_stage(job.id, stage, seconds)
            if is_new:
                self._trace_intake(job, decoded_at - seconds_until_decoded, decoded_at, upload_started_at)
            outcome = Outcome.SUBMITTED if is_new else Outcome.KNOWN
            metrics.count_job(outcome)
            return SubmissionResult(outcome, job)

    def _trace_intake(self, job: Job, arrived_at: float, decoded_at: float, upload_started_at: float) -> None:
        """Record the spans of a job that was just queued. All times are epoch seconds."""
        if not self._tracer.is_on:
            return
        ended_at, attributes = time.time(), describe_job(job)
        settled_at = arrived_at + job.stages.get(Stage.SETTLE, 0.0)
        uploaded_at = upload_started_at + job.stages[Stage.UPLOAD]
        for name, started_at, span_ended_at in (
            (SpanName.SETTLE, arrived_at, settled_at),
            (SpanName.CONVERT, settled_at, decoded_at),
            (SpanName.OUTBOX, decoded_at, upload_started_at),
            (SpanName.UPLOAD, upload_started_at, uploaded_at),
            (SpanName.ENQUEUE, uploaded_at, ended_at),
            (SpanName.INTAKE, arrived_at, ended_at),
        ):
            self._tracer.record(name, job.id, started_at, span_ended_at, attributes=attributes)

    def upload_photo(self, photo_id: str, jpeg: bytes) -> None:
        """Put a photo in the store whose jobs were submitted with its working photo.

        Does nothing if the dreams of all these jobs were deleted, and the photo with them. Raises Unavailable and
        LedgerError.
        """
        with _raise_unavailable():
            if self._is_deleted(photo_id):
                return
            self._store.put(photo_name(photo_id), jpeg)
            if self._is_deleted(photo_id):  # meanwhile: whoever deleted it may not have seen it
                self._store.delete(photo_name(photo_id))

    def _is_deleted(self, photo_id: str, *job_ids: str) -> bool:
        """Return whether these jobs of a photo, and all that were submitted from this data folder, are deleted."""
        job_ids = (*job_ids, *self.ledger.list_submitted_job_ids(photo_id))
        states = zip(job_ids, self._table.get_states(job_ids), strict=True)
        return bool(job_ids) and all(
            state is State.DELETED or (state is None and has_tombstone(self._store, job_id)) for job_id, state in states
        )

    def resubmit_lost_jobs(self) -> int:
        """Resubmit the unfinished jobs of this machine that the broker no longer knows. Returns their number.

        Raises Unavailable and LedgerError.
        """
        return sum(self.resubmit_lost_job(job_id) for job_id in self.find_lost_jobs())

    def find_lost_jobs(self) -> list[str]:
        """Return the ids of the unfinished jobs that the broker does not know, guests' first, and forget ended ones.

        A killed broker loses its last writes, a wiped one everything. Every broker forgets a job some time after its
        end, so one that was last known to be unfinished that long ago has ended. A job that another process on the data
        folder is about to submit is among the lost ones. Jobs of another version of ArtDream are not: they stay in the
        ledger, for that version. Raises Unavailable and LedgerError.
        """
        with _raise_unavailable():
            if not (job_ids := self.ledger.list_unfinished_job_ids()):
                return []
            states = dict(zip(job_ids, self._table.get_states(job_ids), strict=True))
            ended_ids = [job_id for job_id, state in states.items() if state and state.is_final]
            missing_ids = [job_id for job_id, state in states.items() if state is None]
            expired_ids = self.ledger.record_check(ended_ids, missing_ids, ENDED_JOB_TTL_SECONDS)
        if expired_ids:
            logger.info("The broker does not know %d jobs of long ago: they count as ended.", len(expired_ids))
        return [job_id for job_id in missing_ids if job_id not in expired_ids | self._incompatible_job_ids]

    def resubmit_lost_job(self, job_id: str) -> bool:
        """Resubmit a job that the broker does not know, or forget it if its photo is no longer in the store.

        Returns whether it was resubmitted. If a lost job already has a dream, a worker announces that dream and does
        not render it again. Raises Unavailable and LedgerError.
        """
        try:
            job = self.ledger.load_unfinished_job(job_id)
        except IncompatibleJob as error:
            logger.warning("%s", error)
            self._incompatible_job_ids.add(job_id)
            return False
        if job is None:
            return False
        with _raise_unavailable():
            if has_photo(self._store, job.photo_id):
                return submit(self._celery, self._table, job, is_counted=True)
            self.ledger.forget_jobs([job_id])
        return False

    def _initialize_runtime_settings(self) -> None:
        initialize_runtime_settings(self.client, self._store, approval=self._approval)

    def is_submitted(self, job: Job) -> bool:
        """Return whether a job is queued, running, completed or deleted. Raises Unavailable."""
        with _raise_unavailable():
            return self._table.get_state(job.id) not in _SUBMITTABLE_STATES

    def publish_refusal(self, file_name: str, reason: str, cause: RefusalCause | None = None, *, event_id: str) -> None:
        """Count a refused file, and append a FileRejected event. event_id: tells it from others. Raises Unavailable."""
        upload = parse_file_name(file_name)
        origin = upload.origin if upload else Origin.INBOX
        # A file that has taken over its decoder may have chosen another word.
        counted_cause = cause.code if cause and cause.code in set(RefusalCode) else OTHER_CAUSE
        with _raise_unavailable():
            if upload and origin is Origin.API:
                record_refusal(self.client, upload.job_id, reason, cause)
            count(self.client, Counted.REFUSED, origin, counted_cause, event_id=event_id)
            self._events.append(FileRejected(file=file_name, reason=reason, cause=cause))
        metrics.count_rejected_file()


@contextmanager
def _raise_unavailable() -> Iterator[None]:
    """Translate the errors of the store and the broker into Unavailable."""
    try:
        yield
    except StoreError as error:
        raise Unavailable(str(error)) from error
    except ArtDreamError as error:
        raise Unavailable(str(error)) from error
    except redis.RedisError as error:
        raise Unavailable(describe_error(error)) from error
