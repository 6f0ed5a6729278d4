"""The lineup: jobs that wait in the lanes, as a worker sees them that dreams one already."""

from collections.abc import Callable, Iterator
from itertools import islice

from shared.broker.client import connect
from shared.jobs.job import Job, Lane
from shared.jobs.queue import BATCH_PRIORITY, parse_job_id, queue_keys
from shared.jobs.table import AlreadyClaimed, Claim, JobTable
from shared.settings import Settings
from worker.jobs.validation import Admission

#: The list in which the messages of batches wait; the next is the last of it.
BATCHES = queue_keys(Lane.BATCH)[BATCH_PRIORITY]

#: So many times the jobs that are wanted are looked at: a batch of two recipes may alternate between them.
FARTHER = 4


class Lineup:
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
        self._admission = Admission(settings)
        self._worker = worker
        self._wanted = settings.together - 1
        self._messages: dict[str, tuple[str, str]] = {}

    def company(self, first: Job) -> list[Claim]:
        """Claim jobs of a batch that can be dreamt in one ascent with a claimed one. Raises RedisError.

        None where the worker takes none, and for a job that is no batch's or was started before.
        """
        self._messages = {}
        if not self._wanted or first.lane is not Lane.BATCH or self._table.count_attempts([first.id]) != [1]:
            return []
        like = first.recipe, first.lane
        claims = self._claims([BATCHES], FARTHER * self._wanted, lambda job: (job.recipe, job.lane) == like)
        return list(islice(claims, self._wanted))

    def guest(self) -> Claim | None:
        """Claim the guest's job that is the next; None where none waits. Raises RedisError."""
        return next(self._claims(queue_keys(Lane.LIVE), FARTHER, lambda job: job.lane is Lane.LIVE), None)

    def put_back(self, job: Job) -> None:
        """Let the message of a job that was handed back be the next one. Raises RedisError."""
        if job.id in self._messages:
            self._client.rpush(*self._messages[job.id])

    def _claims(self, names: list[str], count: int, fits: Callable[[Job], bool]) -> Iterator[Claim]:
        """Claim what fits and waits in some lists, the next first; at most so many messages of each are looked at."""
        pipeline = self._client.pipeline(transaction=False)
        for name in names:
            pipeline.lrange(name, -count, -1)
        waiting = {
            job_id: (name, message)
            for name, messages in zip(names, pipeline.execute(), strict=True)
            for message in reversed(messages)
            if (job_id := parse_job_id(message))
        }
        starts = self._table.count_attempts([*waiting]) if waiting else []
        for (job_id, (name, message)), started in zip(waiting.items(), starts, strict=True):
            if not started and (claim := self._claimed(job_id, fits)):
                self._messages[job_id] = name, message
                self._client.lrem(name, -1, message)
                yield claim

    def _claimed(self, job_id: str, fits: Callable[[Job], bool]) -> Claim | None:
        job = self._admission.admit(job_id)
        if job is None or not fits(job):
            return None
        try:
            return self._table.claim(job, self._worker)
        except AlreadyClaimed:
            return None
