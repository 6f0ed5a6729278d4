"""The lineup: jobs that wait in the lanes, as a worker sees them that dreams one already."""

from collections.abc import Callable, Iterator
from itertools import islice

from shared.broker.client import connect
from shared.jobs.job import Job, Lane
from shared.jobs.queue import BATCH_PRIORITY, parse_job_id, queue_keys
from shared.jobs.table import AlreadyClaimed, Claim, JobTable
from shared.settings import Settings
from worker.jobs.validation import JobValidation

#: The list in which the messages of batches wait; the next is the last of it.
BATCH_LIST_KEY = queue_keys(Lane.BATCH)[BATCH_PRIORITY]

#: So many times the jobs that are wanted are looked at: a batch of two recipes may alternate between them.
LOOKAHEAD_FACTOR = 4


class Batcher:
    """Takes waiting jobs out of their lane by claiming them, as a delivery would; it never waits for any.

    A job that is claimed needs no message: where its worker dies, the reconciler puts it back when the lease has run
    out. So the message is taken out of the lane afterwards; one that was delivered meanwhile is dropped, for the job is
    held.

    A job that was started before is left to its delivery: it may be what its worker died of, and nobody shall die with
    it.
    """

    def __init__(self, settings: Settings, worker: str) -> None:
        self._client = connect(settings.broker)
        self._table = JobTable(self._client, approval=settings.approval)
        self._validation = JobValidation(settings)
        self._worker = worker
        self._max_batch_mates = settings.together - 1
        self._claimed_messages: dict[str, tuple[str, str]] = {}

    def claim_batch_mates(self, claimed_job: Job) -> list[Claim]:
        """Claim jobs of a batch that can be dreamt in one ascent with a claimed one. Raises RedisError.

        None where the worker takes none, and for a job that is no batch's or was started before.
        """
        self._claimed_messages = {}
        if (
            not self._max_batch_mates
            or claimed_job.lane is not Lane.BATCH
            or self._table.count_attempts([claimed_job.id]) != [1]
        ):
            return []
        like = claimed_job.recipe, claimed_job.lane
        claims = self._claim_matching(
            [BATCH_LIST_KEY], LOOKAHEAD_FACTOR * self._max_batch_mates, lambda job: (job.recipe, job.lane) == like
        )
        return list(islice(claims, self._max_batch_mates))

    def claim_live_job(self) -> Claim | None:
        """Claim the guest's job that is the next; None where none waits. Raises RedisError."""
        return next(
            self._claim_matching(queue_keys(Lane.LIVE), LOOKAHEAD_FACTOR, lambda job: job.lane is Lane.LIVE), None
        )

    def requeue_message(self, job: Job) -> None:
        """Let the message of a job that was handed back be the next one. Raises RedisError."""
        if job.id in self._claimed_messages:
            self._client.rpush(*self._claimed_messages[job.id])

    def _claim_matching(self, list_keys: list[str], lookahead: int, is_match: Callable[[Job], bool]) -> Iterator[Claim]:
        """Claim what fits and waits in some lists, the next first; at most so many messages of each are looked at."""
        pipeline = self._client.pipeline(transaction=False)
        for name in list_keys:
            pipeline.lrange(name, -lookahead, -1)
        waiting = {
            job_id: (name, message)
            for name, messages in zip(list_keys, pipeline.execute(), strict=True)
            for message in reversed(messages)
            if (job_id := parse_job_id(message))
        }
        starts = self._table.count_attempts([*waiting]) if waiting else []
        for (job_id, (name, message)), started in zip(waiting.items(), starts, strict=True):
            if not started and (claim := self._try_claim(job_id, is_match)):
                self._claimed_messages[job_id] = name, message
                self._client.lrem(name, -1, message)
                yield claim

    def _try_claim(self, job_id: str, is_match: Callable[[Job], bool]) -> Claim | None:
        job = self._validation.validate(job_id)
        if job is None or not is_match(job):
            return None
        try:
            return self._table.claim(job, self._worker)
        except AlreadyClaimed:
            return None
