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
from worker.clips.generator import ClipMaker
from worker.dreamer import Dreamer
from worker.jobs.batch_run import Sitting
from worker.jobs.batching import Lineup
from worker.jobs.execution import Attempt
from worker.jobs.lease import HandedBack
from worker.jobs.process_id import died_here
from worker.jobs.retry import Patience

log = logging.getLogger(__name__)


class Studio:
    """One process's broker connection, store and way of working. Made after the fork, never before."""

    def __init__(
        self, settings: Settings, worker: str, dreamer: Dreamer, hosts: Callable[[], bool] = lambda: True
    ) -> None:
        """hosts: whether guests are let in amid the dreams of a batch."""
        self._worker = worker
        self._dreamer = dreamer
        self._table = JobTable(connect(settings.broker), approval=settings.approval)
        self._store = Store(settings.store)
        self._clips = ClipMaker(self._store) if settings.clips else None
        self._lineup = Lineup(settings, worker)
        self._hosts = hosts
        self._patience = Patience(settings.time_limit_seconds)

    def work(self, job: Job) -> None:
        """Dream one job and publish it, or end it with a reason. Does nothing for a job that has ended.

        With a job of a batch others that wait are dreamt, where the installation wants that; and between two of its
        frames the photos of guests who wait. Each ends for itself.
        Raises only what a later delivery can mend: HandedBack where the worker was told to stop, or that the store or
        the broker stayed away.
        """
        started = time.monotonic()
        try:
            claim = self._patience.insist(lambda: self._claimed(job))
        except AlreadyClaimed as held:
            log.info("job %s is held: %s; this delivery is dropped", job.id, held)
            return
        if claim is None:
            log.info("job %s has ended already; its delivery is dropped", job.id)
            return
        attempts: list[Attempt] = []
        try:
            with self._aside(), contextlib.ExitStack() as holds:
                for one in self._with_company(claim):
                    attempts.append(Attempt(one, self._table, self._store, self._patience))
                    holds.enter_context(attempts[-1].hold)
                Sitting(self._dreamer, lambda: self._host(job, attempts, started)).dream(attempts[:])
        except (StoreError, *BROKER_UNAVAILABLE):
            with contextlib.suppress(*BROKER_UNAVAILABLE):  # then the claims run out
                self._hand_back(attempts)
            raise
        except SoftTimeLimitExceeded:
            if time.monotonic() - started < self._patience.seconds:  # the worker has to stop
                self._patience.insist(lambda: self._hand_back(attempts))
                raise HandedBack from None
            guests = [attempt for attempt in attempts if attempt.job.lane is not job.lane]
            self._patience.insist(lambda: self._hand_back(guests))  # the time was not theirs
            for attempt in attempts:
                if not attempt.ended:
                    attempt.fail(f"The dream took longer than {self._patience.seconds} s.", "time limit")
        if self._clips:
            for attempt in attempts:
                if attempt.completed:
                    self._clips.offer(attempt.job.id)

    def close(self) -> None:
        """Stop what goes on beside the dreams; takes a few seconds at most."""
        if self._clips:
            self._clips.close()

    def _host(self, job: Job, attempts: list[Attempt], started: float) -> None:
        """Dream the photos of guests who wait before a job of a batch goes on: they wait for a frame, not for a dream.

        Adds to the attempts. Not for ever: what is left of the job's time must be enough for the job.
        """
        while job.lane is Lane.BATCH and self._hosts() and time.monotonic() - started < self._patience.seconds / 2:
            try:
                guest = self._lineup.guest()
            except BROKER_UNAVAILABLE as error:  # then guests wait
                log.info("job %s did not step aside: %s", job.id, error)
                return
            if guest is None:
                return
            attempt = Attempt(guest, self._table, self._store, self._patience)
            attempts.append(attempt)
            with bind_job_id(guest.job.id), attempt.hold:
                log.info("job %s steps aside for this guest's", job.id)
                Sitting(self._dreamer, lambda: None).dream([attempt])

    def _aside(self) -> AbstractContextManager[object]:
        """Let clips wait while a dream goes on."""
        return self._clips.aside() if self._clips else contextlib.nullcontext()

    def _claimed(self, job: Job) -> Claim | None:
        try:
            return self._table.claim(job, self._worker)
        except AlreadyClaimed as held:
            if not died_here(held.holder):
                raise
            self._table.requeue(job.id, dead_worker=held.holder)
            return self._table.claim(job, self._worker)

    def _with_company(self, claim: Claim) -> Iterator[Claim]:
        yield claim
        try:
            yield from self._lineup.company(claim.job)
        except BROKER_UNAVAILABLE as error:  # then alone
            log.info("job %s has no company: %s", claim.job.id, error)

    def _hand_back(self, attempts: list[Attempt]) -> None:
        """Hand back what has not ended; of those that were claimed without a delivery the messages, too."""
        for attempt in attempts:
            if not attempt.ended and attempt.hand_back():
                self._lineup.put_back(attempt.job)
