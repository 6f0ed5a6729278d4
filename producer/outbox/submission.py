"""The intake: the one door through which a photo gets into the store and the queue."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import redis

from producer.outbox.ledger import Ledger
from shared.broker.client import connect
from shared.errors import ArtDreamError
from shared.jobs.events import EventLog, FileRejected, Stage
from shared.jobs.job import Job, State
from shared.jobs.queue import connect_to_queues, create_celery_app, submit
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.monitoring.stage_timer import record_stage
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, photo_name
from shared.storage.store import Store, StoreError

#: States of a job that still has to be submitted, or may be once more.
_SUBMITTABLE_STATES = (None, State.ACCEPTED, State.FAILED, State.CANCELLED)


class Outcome(StrEnum):
    """What became of a file."""

    SUBMITTED = "submitted"
    KNOWN = "already known"
    REFUSED = "refused"


@dataclass(frozen=True)
class SubmissionResult:
    """A photo that has its job."""

    outcome: Outcome
    job: Job


class Unavailable(ArtDreamError):
    """The store or the broker is away; the same call may be tried again."""


class SubmissionClient:
    """Store and queue of one installation. Every call may be repeated; use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError where the settings name no broker or the store cannot be opened."""
        self.client = connect(settings.broker)
        self._table = JobTable(self.client, approval=settings.approval, initialize=self._initialize_runtime_settings)
        self._events = EventLog(self.client)
        self._celery = create_celery_app(settings)
        # After ten seconds without a guest it would ask first whether the broker is there: a round trip for nothing,
        # as whatever fails is tried again.
        self._celery.conf.broker_transport_options |= {"health_check_interval": 0}
        self._store = Store(settings.store)
        #: The memory of the data folder.
        self.ledger = Ledger(settings.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the broker and the ledger."""
        self.ledger.close()
        self._celery.close()
        self.client.close()

    def open_connections(self) -> None:
        """Connect to queue and store, which takes many round trips, so that the first guest does not wait for them.

        Raises Away.
        """
        with _raise_unavailable():
            self.client.ping()  # kombu waits for a broker that is away
            connect_to_queues(self._celery)
            self._store.get(RUNTIME_SETTINGS_NAME)  # anything: it need not even be there

    def submit(self, job: Job, jpeg: bytes) -> SubmissionResult:
        """Put a photo in the store and submit its job, in this order. Raises Away, and LedgerError.

        A job that is on its way or done is left alone; one that failed or was cancelled is taken up again.
        """
        with _raise_unavailable():
            state = self._table.get_state(job.id)
            if state not in _SUBMITTABLE_STATES:
                metrics.count_job(Outcome.KNOWN)
                return SubmissionResult(Outcome.KNOWN, job)
            started = time.perf_counter()
            self._store.put(photo_name(job.photo_id), jpeg)
            job = job.model_copy(update={"stages": {**job.stages, Stage.UPLOAD: time.perf_counter() - started}})
            self.ledger.record_unfinished_job(job)
            new = submit(self._celery, self._table, job) or state is State.ACCEPTED
            for stage, seconds in job.stages.items() if new else ():
                record_stage(job.id, stage, seconds)
            outcome = Outcome.SUBMITTED if new else Outcome.KNOWN
            metrics.count_job(outcome)
            return SubmissionResult(outcome, job)

    def resubmit_lost_jobs(self) -> int:
        """Submit again what was submitted from this machine and the broker has forgotten; return how many jobs.

        A broker that was killed loses what it had not yet written, one that was wiped everything. A job that has its
        dream is announced by a worker, without dreaming again: nobody can know whether it was. Raises Away, and
        LedgerError.
        """
        with _raise_unavailable():
            jobs = self.ledger.list_unfinished_job_ids()
            states = dict(zip(jobs, self._table.get_states(jobs), strict=True))
            lost = [job for job_id in jobs if states[job_id] is None and (job := self._load_unfinished_job(job_id))]
            for job in lost:
                submit(self._celery, self._table, job)
            forgotten = {job.id for job in lost}
            self.ledger.forget_jobs(
                [one for one, state in states.items() if _has_ended(state) and one not in forgotten]
            )
            return len(lost)

    def _load_unfinished_job(self, job_id: str) -> Job | None:
        """Return a job of the ledger whose photo has not been deleted since."""
        job = self.ledger.load_unfinished_job(job_id)
        return job if job and self._store.get(photo_name(job.photo_id)) is not None else None

    def _initialize_runtime_settings(self) -> None:
        initialize_runtime_settings(self.client, self._store)

    def is_submitted(self, job: Job) -> bool:
        """Tell whether a job is on its way or done. Raises Away."""
        with _raise_unavailable():
            return self._table.get_state(job.id) not in _SUBMITTABLE_STATES

    def publish_refusal(self, file_name: str, reason: str) -> None:
        """Tell everybody that a file was set aside. Raises Away."""
        with _raise_unavailable():
            self._events.append(FileRejected(file=file_name, reason=reason))
        metrics.count_rejected_file()


def _has_ended(state: State | None) -> bool:
    return state is None or state.is_final


@contextmanager
def _raise_unavailable() -> Iterator[None]:
    """Turn what store and broker raise while they are away into one sentence."""
    try:
        yield
    except StoreError as error:
        raise Unavailable(str(error)) from error
    except ArtDreamError as error:
        raise Unavailable(str(error)) from error
    except redis.RedisError as error:
        cause = str(error).partition("\n")[0].rstrip(".")
        raise Unavailable(f"The broker is away: {cause}.") from error
