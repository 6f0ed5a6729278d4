"""Batching: claims queued jobs to process together with a worker's current job, or before it continues."""

import logging
from collections.abc import Callable, Iterator
from itertools import islice

from shared.broker.client import BROKER_OUTAGE, connect, describe_error
from shared.jobs.job import Job, Lane
from shared.jobs.queue import BATCH_PRIORITY, parse_job_id, queue_keys
from shared.jobs.table import AlreadyClaimed, Claim, JobTable
from shared.settings import Settings
from shared.timing import Timing
from worker.jobs.validation import JobValidation

logger = logging.getLogger(__name__)

#: Redis list of the messages of batch jobs; its last element is delivered next.
BATCH_LIST_KEY = queue_keys(Lane.BATCH)[BATCH_PRIORITY]

#: Messages to inspect for each job wanted: a batch with two recipes may alternate between them.
LOOKAHEAD_FACTOR = 4


class Batcher:
    """Claims queued jobs directly from their lane, without a delivery. It never waits for a job.

    A claimed job needs no message: if its worker dies, the reconciler queues the job again once the lease has expired.
    So the message is removed from the lane after the claim. If it was delivered in between, the receiving worker drops
    it, because the job is already claimed.

    A job with an earlier attempt is left to its own delivery: it may have killed its worker, and must not take other
    jobs down with it, or have taken too long with others, and needs the time for itself.
    """

    def __init__(self, settings: Settings, worker: str, timing: Timing) -> None:
        self._client = connect(settings.broker)
        self._table = JobTable(self._client, approval=settings.approval, timing=timing)
        self._validation = JobValidation(settings)
        self._worker = worker
        self._announces_claims = settings.moderation == "off"
        self._max_batch_mates = settings.together - 1
        self._claimed_messages: dict[str, tuple[str, str]] = {}

    def claim_batch_mates(self, claimed_job: Job) -> Iterator[Claim]:
        """Claim queued batch jobs with the recipe of a claimed job, to process them together with it.

        Yields each claim as soon as it is made, so that none is lost if the next one fails. Yields none if the
        installation processes jobs one by one, if the job is not in the batch lane, or if it had an earlier attempt.
        Raises RedisError.
        """
        self._claimed_messages = {}
        if (
            not self._max_batch_mates
            or claimed_job.lane is not Lane.BATCH
            or self._table.count_attempts([claimed_job.id]) != [1]
        ):
            return
        recipe_and_lane = claimed_job.recipe, claimed_job.lane
        claims = self._claim_matching(
            [BATCH_LIST_KEY],
            LOOKAHEAD_FACTOR * self._max_batch_mates,
            lambda job: (job.recipe, job.lane) == recipe_and_lane,
        )
        yield from islice(claims, self._max_batch_mates)

    def claim_live_job(self) -> Claim | None:
        """Claim the next live job; None if no live job is queued. Raises RedisError."""
        return next(
            self._claim_matching(queue_keys(Lane.LIVE), LOOKAHEAD_FACTOR, lambda job: job.lane is Lane.LIVE), None
        )

    def requeue_message(self, job: Job) -> None:
        """Put the message of a released job back as the last one of its list, as Celery does. Raises RedisError.

        Does nothing for a job that was not claimed here since the last call of `claim_batch_mates`.
        """
        if job.id in self._claimed_messages:
            self._client.lpush(*self._claimed_messages[job.id])

    def _claim_matching(self, list_keys: list[str], lookahead: int, is_match: Callable[[Job], bool]) -> Iterator[Claim]:
        """Claim the matching jobs of some lists, in the order of delivery.

        lookahead: messages of each list to inspect, at most. is_match: returns whether a job may be claimed.
        """
        pipeline = self._client.pipeline(transaction=False)
        for list_key in list_keys:
            pipeline.lrange(list_key, -lookahead, -1)
        queued = {
            job_id: (list_key, message)
            for list_key, messages in zip(list_keys, pipeline.execute(), strict=True)
            for message in reversed(messages)
            if (job_id := parse_job_id(message))
        }
        attempt_counts = self._table.count_attempts([*queued]) if queued else []
        for (job_id, (list_key, message)), attempts in zip(queued.items(), attempt_counts, strict=True):
            if not attempts and (claim := self._try_claim(job_id, is_match)):
                self._claimed_messages[job_id] = list_key, message
                self._remove_message(job_id)
                yield claim

    def _remove_message(self, job_id: str) -> None:
        """Remove the message of a claimed job from its lane. If that fails, the worker that receives it drops it."""
        list_key, message = self._claimed_messages[job_id]
        try:
            self._client.lrem(list_key, -1, message)
        except BROKER_OUTAGE as error:
            logger.info("the message of job %s stays in its lane: %s", job_id, describe_error(error))

    def _try_claim(self, job_id: str, is_match: Callable[[Job], bool]) -> Claim | None:
        job = self._validation.validate(job_id)
        if job is None or not is_match(job):
            return None
        try:
            return self._table.claim(job, self._worker, announce=self._announces_claims)
        except AlreadyClaimed:
            return None
