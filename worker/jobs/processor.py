"""Process one job from its message to its completion: validate, claim, fetch, dream, publish, complete, make clips."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

import redis

from shared.appearance import Appearance
from shared.broker.client import BROKER_OUTAGE, connect
from shared.jobs.clip_requests import ClipFormat, take_clip_request
from shared.jobs.job import Job, Lane
from shared.jobs.state_machine import MAX_HAND_BACKS
from shared.jobs.table import AlreadyClaimed, Claim, JobTable
from shared.monitoring.logs import bind_job_id
from shared.monitoring.tracing import open_tracer
from shared.provenance.signing import load_signer
from shared.runtime_settings import read_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from shared.timing import DEFAULT_TIMING, Timing
from worker.clips.generator import ClipGenerator
from worker.consumer.time_limit import TaskInterrupted
from worker.dreamer import Dreamer
from worker.jobs.batching import Batcher
from worker.jobs.dream_group import dream_group, fetch_photos, group_by_canvas
from worker.jobs.execution import JobExecution
from worker.jobs.lease import Released
from worker.jobs.process_id import is_dead_local_process
from worker.jobs.retry import RetryPolicy
from worker.jobs.validation import JobValidation

if TYPE_CHECKING:
    from worker.jobs.moderation import Moderator

logger = logging.getLogger(__name__)

#: Seconds before a message goes back the first time that its job is handed back because of an error; they double with
#: each further time.
FIRST_HAND_BACK_PAUSE_SECONDS = 0.5

#: Share of the time limit that waiting for store and broker, or guests, may take before it is not the job's fault that
#: it exceeded the limit.
FOREIGN_TIME_SHARE = 0.1


class JobProcessor:
    """Processes the jobs of one pool process. Create it after the fork: it connects to broker and store."""

    def __init__(
        self,
        settings: Settings,
        worker: str,
        dreamer: Dreamer,
        may_preempt: Callable[[], bool] = lambda: True,
        is_stopping: Callable[[], bool] = lambda: False,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """worker: the name under which jobs are claimed. may_preempt: whether live jobs may interrupt a batch job.

        is_stopping: whether an interruption means that the worker has to stop, not that the time limit is exceeded.
        Raises ArtDreamError if the network that moderates is missing or damaged, or OpenTelemetry is not installed and
        tracing is on.
        """
        self._worker = worker
        self._timing = timing
        self._dreamer = dreamer
        self._may_preempt = may_preempt
        self._is_stopping = is_stopping
        self._table = JobTable(connect(settings.broker), approval=settings.approval, timing=timing)
        self._store = Store(settings.store)
        self._validation = JobValidation(settings)
        self._batcher = Batcher(settings, worker, timing)
        self._appearance = Appearance()
        self._moderator = _load_moderator(settings)
        self._signer = load_signer(settings)
        if self._signer:
            self._signer.check()
        self._tracer = open_tracer(settings, "worker")
        self._clip_generator = None
        if settings.clips:
            self._clip_generator = ClipGenerator(
                self._store,
                dreamer,
                get_appearance=lambda: self._read_appearance(settings),
                take_request=partial(_take_clip_request, connect(settings.broker)),
                may_be_seen=self._moderator.may_be_seen if self._moderator else None,
                signer=self._signer,
            )
        self._retry_policy = RetryPolicy(settings.time_limit_seconds)
        self._guest_seconds = 0.0

    def process(self, job_id: str) -> None:
        """Process a job, and queued jobs of a batch that can be dreamt together with it. Each ends on its own.

        Does nothing for a job that is invalid, has ended, or is claimed by a live worker. Raises Released if the worker
        has to stop, or the time limit was exceeded by a candidate, by a batch of several, or for reasons that are not
        the job's, and StoreError or one of BROKER_OUTAGE if it met one that a retry may mend, after a pause that grows
        with each time: in these cases the message must go back to its queue. A job that was handed back MAX_HAND_BACKS
        times fails instead.
        """
        started_at = time.monotonic()
        self._guest_seconds = self._retry_policy.waited_seconds = 0.0
        job = self._validation.validate(job_id)
        claim = self._claim(job) if job else None
        if job is None or claim is None:
            return
        executions: list[JobExecution] = []
        try:
            self._process_claimed(job, claim, executions, started_at)
        finally:  # guests' dreams are complete, whatever becomes of the job that they interrupted
            self._enqueue_clips(executions)

    def _process_claimed(self, job: Job, claim: Claim, executions: list[JobExecution], started_at: float) -> None:
        """Process a claimed job with its batch mates. executions: empty; every job that is begun is appended to it."""
        is_interrupted = False
        try:
            with self._pause_clips(), contextlib.ExitStack() as leases:
                for each in self._claim_batch_mates(claim):
                    executions.append(self._create_execution(each))
                    leases.enter_context(executions[-1].lease_keeper)
                self._run(executions, lambda: self._run_live_jobs(job, executions, started_at))
        except StoreError as error:
            self._hand_back(executions, str(error), "expected")
            if executions[0].released:
                self._pause(executions[0].hand_backs)
                raise
        except BROKER_OUTAGE:
            with contextlib.suppress(*BROKER_OUTAGE):  # then the leases expire
                self._release(executions)
            raise
        except TaskInterrupted:
            is_interrupted = True
        if is_interrupted:  # not above, where every error would have the interruption behind it
            self._end_interrupted(job, executions)

    def _run(self, executions: list[JobExecution], between_frames: Callable[[], None]) -> None:
        """Fetch the photos, dream them, publish the dreams and complete the jobs."""
        for group in group_by_canvas(fetch_photos(executions)):
            for execution, dream in dream_group(self._dreamer, group, between_frames):
                with execution.end_on_error():
                    execution.complete(execution.publish(dream))

    def close(self) -> None:
        """Stop the clip generator, and send the last spans; takes a few seconds at most."""
        if self._clip_generator:
            self._clip_generator.close()
        self._tracer.close()

    def _claim(self, job: Job) -> Claim | None:
        """Claim a job; None if it has ended or a live worker holds it."""
        try:
            claim = self._retry_policy.retry(lambda: self._claim_or_take_over(job))
        except AlreadyClaimed as error:
            logger.info("job %s is held: %s; this delivery is dropped", job.id, error)
            return None
        if claim is None:
            logger.info("job %s has ended already; its delivery is dropped", job.id)
        return claim

    def _claim_or_take_over(self, job: Job) -> Claim | None:
        try:
            return self._table.claim(job, self._worker, announce=self._moderator is None)
        except AlreadyClaimed as error:
            if not is_dead_local_process(error.holder):
                raise
            self._table.requeue(job.id, dead_worker=error.holder)
            return self._table.claim(job, self._worker, announce=self._moderator is None)

    def _claim_batch_mates(self, claim: Claim) -> Iterator[Claim]:
        """Yield the claim itself, then those of queued jobs that can be dreamt together with it."""
        yield claim
        try:
            yield from self._batcher.claim_batch_mates(claim.job)
        except BROKER_OUTAGE as error:  # then it runs alone
            logger.info("job %s has no company: %s", claim.job.id, error)

    def _create_execution(self, claim: Claim) -> JobExecution:
        moderation = self._moderator.begin_job() if self._moderator else None
        execution = JobExecution(
            claim, self._table, self._store, self._retry_policy, moderation, self._signer, self._tracer
        )
        if claim.attempts > 1:  # a candidate must not cost a guest the dream
            execution.fall_back("its worker died, or it took too long")
        elif not self._validation.allows(execution.recipe.network):
            execution.fall_back(f"no job may name the network {execution.recipe.network}")
        return execution

    def _run_live_jobs(self, job: Job, executions: list[JobExecution], started_at: float) -> None:
        """Run all queued live jobs before a batch job continues, and append them to its executions.

        Guests then wait for a frame, not for a dream. Only during the first half of the time limit: the rest of it must
        be enough for the batch job. And only until one has to be handed back, which is not the batch job's fault.
        """
        while (
            job.lane is Lane.BATCH
            and self._may_preempt()
            and not any(execution.released for execution in executions)
            and time.monotonic() - started_at < self._retry_policy.timeout_seconds / 2
        ):
            try:
                claim = self._batcher.claim_live_job()
            except BROKER_OUTAGE as error:  # then guests wait
                logger.info("job %s did not yield to guests: %s", job.id, error)
                return
            if claim is None:
                return
            execution = self._create_execution(claim)
            executions.append(execution)
            began_at = time.monotonic()
            with bind_job_id(claim.job.id), execution.lease_keeper:
                logger.info("job %s yields to this guest's", job.id)
                try:
                    self._run([execution], lambda: None)
                except StoreError as error:
                    self._hand_back([execution], str(error), "expected")
                finally:
                    self._guest_seconds += time.monotonic() - began_at

    def _end_interrupted(self, job: Job, executions: list[JobExecution]) -> None:
        """End what was interrupted: release it if the worker has to stop, else fail what exceeded the time limit.

        A candidate that did is released: the next attempt dreams the current version. So is a job with batch mates: it
        shared its time with them.
        """
        reason = ""
        if self._is_stopping():  # the clock does not tell: Celery's time limit began earlier, by a trip to the broker
            reason = "the worker has to stop, and its job waits for another"
        elif self._retry_policy.is_waiting:
            reason = "store or broker stayed unavailable for as long as a dream may take, and the job waits for them"
        if reason:
            self._retry_policy.retry(lambda: self._release(executions))
            raise Released(reason)
        live = [execution for execution in executions if execution.job.lane is not job.lane]
        self._retry_policy.retry(lambda: self._release(live))  # the time was the batch job's
        batch = [execution for execution in executions if execution not in live]
        if len(batch) > 1:
            self._release_batch(batch)
            if executions[0].released:
                raise Released("its batch took too long, and it is dreamt alone instead")
            return
        limit_seconds = self._retry_policy.timeout_seconds
        failure = f"The dream took longer than {limit_seconds} s."
        if self._guest_seconds + self._retry_policy.waited_seconds > FOREIGN_TIME_SHARE * limit_seconds:
            self._hand_back(executions, failure, "time limit")
            if executions[0].released:
                raise Released("its time went to guests, or to waiting for store or broker")
        for execution in executions:
            if not execution.ended and not execution.give_up_candidate():
                execution.fail(failure, "time limit")
        if executions[0].released:
            raise Released("the candidate took too long, and the current version of its recipe is dreamt instead")

    def _release_batch(self, executions: list[JobExecution]) -> None:
        """Release the jobs of a batch of several that have not ended when its time is over.

        It counts as an attempt at those that were begun: the next one has no batch mates. At the first it always does,
        or a batch whose photos take all the time to load would be released without end.
        """
        logger.warning(
            "%d jobs of a batch were not finished within %d s: those that were begun are dreamt alone",
            sum(not execution.ended for execution in executions),
            self._retry_policy.timeout_seconds,
        )
        begun = [execution for execution in executions if execution.has_begun or execution is executions[0]]
        self._retry_policy.retry(lambda: self._release(begun, is_attempt=True))
        self._retry_policy.retry(lambda: self._release(executions))

    def _release(self, executions: list[JobExecution], *, count: bool = False, is_attempt: bool = False) -> None:
        """Release the jobs that have not ended, and requeue the messages of those that were claimed without one.

        count, is_attempt: as for `JobExecution.release`.
        """
        for execution in executions:
            if not execution.ended and execution.release(count=count, is_attempt=is_attempt):
                self._batcher.requeue_message(execution.job)

    def _hand_back(self, executions: list[JobExecution], failure: str, kind: str) -> None:
        """Release the jobs that have not ended, and count it; fail those that were handed back too often.

        failure: the reason of those that fail. kind: label of the fault in the metrics.
        """
        for execution in executions:
            if not execution.ended and execution.hand_backs >= MAX_HAND_BACKS:
                execution.fail(failure, kind)
        self._retry_policy.retry(lambda: self._release(executions, count=True))

    def _pause(self, hand_backs: int) -> None:
        """Wait before a message goes back: longer with each time, but not so long that the message seems lost."""
        ends_at = time.monotonic() + min(
            FIRST_HAND_BACK_PAUSE_SECONDS * 2**hand_backs, self._timing.in_transit_seconds / 2
        )
        while time.monotonic() < ends_at and not self._is_stopping():
            time.sleep(0.1)

    def _read_appearance(self, settings: Settings) -> Appearance:
        """Return how the event looks; while the broker is unavailable, how it looked last."""
        with contextlib.suppress(*BROKER_OUTAGE), connect(settings.broker) as client:
            self._appearance = read_runtime_settings(client, settings).appearance
        return self._appearance

    def _pause_clips(self) -> AbstractContextManager[object]:
        """Pause the clip generator: dreams come first."""
        return self._clip_generator.pause() if self._clip_generator else contextlib.nullcontext()

    def _enqueue_clips(self, executions: list[JobExecution]) -> None:
        """Queue the jobs that are completed for their clips."""
        if self._clip_generator:
            for execution in executions:
                if execution.completed:
                    self._clip_generator.enqueue(execution.job.id)


def _load_moderator(settings: Settings) -> "Moderator | None":
    """Return the moderator of an installation; None, without loading anything, if no network moderates."""
    if settings.moderation == "off":
        return None
    from worker.jobs.moderation import Moderator

    return Moderator(settings.moderation_threshold)


def _take_clip_request(client: redis.Redis) -> tuple[str, ClipFormat] | None:
    """Return what a guest asks for; None if nobody does, or the broker is unavailable."""
    with contextlib.suppress(*BROKER_OUTAGE):
        return take_clip_request(client)
    return None
