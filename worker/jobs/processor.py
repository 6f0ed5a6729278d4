"""The studio: what one pool process does with a job, from the job table to the store."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from celery.exceptions import SoftTimeLimitExceeded

from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.jobs.job import Job, Lane
from shared.jobs.table import AlreadyClaimed, Claim, JobTable
from shared.monitoring.logs import bind_job_id
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from worker.clips.generator import ClipGenerator
from worker.dreamer import Dreamer
from worker.jobs.batch_run import BatchRun
from worker.jobs.batching import Batcher
from worker.jobs.execution import JobExecution
from worker.jobs.lease import Released
from worker.jobs.process_id import is_dead_local_process
from worker.jobs.retry import RetryPolicy

logger = logging.getLogger(__name__)


class JobProcessor:
    """One process's broker connection, store and way of working. Made after the fork, never before."""

    def __init__(
        self, settings: Settings, worker: str, dreamer: Dreamer, may_preempt: Callable[[], bool] = lambda: True
    ) -> None:
        """hosts: whether guests are let in amid the dreams of a batch."""
        self._worker = worker
        self._dreamer = dreamer
        self._table = JobTable(connect(settings.broker), approval=settings.approval)
        self._store = Store(settings.store)
        self._clip_generator = ClipGenerator(self._store) if settings.clips else None
        self._batcher = Batcher(settings, worker)
        self._may_preempt = may_preempt
        self._retry_policy = RetryPolicy(settings.time_limit_seconds)

    def process(self, job: Job) -> None:
        """Dream one job and publish it, or end it with a reason. Does nothing for a job that has ended.

        With a job of a batch others that wait are dreamt, where the installation wants that; and between two of its
        frames the photos of guests who wait. Each ends for itself.
        Raises only what a later delivery can mend: HandedBack where the worker was told to stop, or that the store or
        the broker stayed away.
        """
        started = time.monotonic()
        try:
            claim = self._retry_policy.retry(lambda: self._claim(job))
        except AlreadyClaimed as held:
            logger.info("job %s is held: %s; this delivery is dropped", job.id, held)
            return
        if claim is None:
            logger.info("job %s has ended already; its delivery is dropped", job.id)
            return
        attempts: list[JobExecution] = []
        try:
            with self._pause_clips(), contextlib.ExitStack() as holds:
                for one in self._claim_batch(claim):
                    attempts.append(JobExecution(one, self._table, self._store, self._retry_policy))
                    holds.enter_context(attempts[-1].lease_keeper)
                BatchRun(self._dreamer, lambda: self._run_live_jobs(job, attempts, started)).run(attempts[:])
        except (StoreError, *BROKER_UNAVAILABLE):
            with contextlib.suppress(*BROKER_UNAVAILABLE):  # then the claims run out
                self._release(attempts)
            raise
        except SoftTimeLimitExceeded:
            if time.monotonic() - started < self._retry_policy.timeout_seconds:  # the worker has to stop
                self._retry_policy.retry(lambda: self._release(attempts))
                raise Released from None
            guests = [attempt for attempt in attempts if attempt.job.lane is not job.lane]
            self._retry_policy.retry(lambda: self._release(guests))  # the time was not theirs
            for attempt in attempts:
                if not attempt.ended:
                    attempt.fail(f"The dream took longer than {self._retry_policy.timeout_seconds} s.", "time limit")
        if self._clip_generator:
            for attempt in attempts:
                if attempt.completed:
                    self._clip_generator.enqueue(attempt.job.id)

    def close(self) -> None:
        """Stop what goes on beside the dreams; takes a few seconds at most."""
        if self._clip_generator:
            self._clip_generator.close()

    def _run_live_jobs(self, job: Job, executions: list[JobExecution], started_at: float) -> None:
        """Dream the photos of guests who wait before a job of a batch goes on: they wait for a frame, not for a dream.

        Adds to the attempts. Not for ever: what is left of the job's time must be enough for the job.
        """
        while (
            job.lane is Lane.BATCH
            and self._may_preempt()
            and time.monotonic() - started_at < self._retry_policy.timeout_seconds / 2
        ):
            try:
                guest = self._batcher.claim_live_job()
            except BROKER_UNAVAILABLE as error:  # then guests wait
                logger.info("job %s did not step aside: %s", job.id, error)
                return
            if guest is None:
                return
            attempt = JobExecution(guest, self._table, self._store, self._retry_policy)
            executions.append(attempt)
            with bind_job_id(guest.job.id), attempt.lease_keeper:
                logger.info("job %s steps aside for this guest's", job.id)
                BatchRun(self._dreamer, lambda: None).run([attempt])

    def _pause_clips(self) -> AbstractContextManager[object]:
        """Let clips wait while a dream goes on."""
        return self._clip_generator.pause() if self._clip_generator else contextlib.nullcontext()

    def _claim(self, job: Job) -> Claim | None:
        try:
            return self._table.claim(job, self._worker)
        except AlreadyClaimed as held:
            if not is_dead_local_process(held.holder):
                raise
            self._table.requeue(job.id, dead_worker=held.holder)
            return self._table.claim(job, self._worker)

    def _claim_batch(self, claim: Claim) -> Iterator[Claim]:
        yield claim
        try:
            yield from self._batcher.claim_batch_mates(claim.job)
        except BROKER_UNAVAILABLE as error:  # then alone
            logger.info("job %s has no company: %s", claim.job.id, error)

    def _release(self, executions: list[JobExecution]) -> None:
        """Hand back what has not ended; of those that were claimed without a delivery the messages, too."""
        for attempt in executions:
            if not attempt.ended and attempt.release():
                self._batcher.requeue_message(attempt.job)
