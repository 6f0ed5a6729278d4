"""The reconciler: finds accepted jobs that have neither a claim nor a message, and queues them again."""

import logging
import threading

import redis
from redis.exceptions import RedisError

from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.jobs.queue import count_all_queued, create_celery_app, iter_queued_job_ids, submit
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.redis_keys import RECONCILER_LOCK_KEY
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two passes of any worker.
RECONCILE_INTERVAL_SECONDS = 2.0

#: Seconds for which a job may have neither message nor claim: not yet sent by its producer, or popped and not yet
#: claimed.
IN_TRANSIT_SECONDS = 20.0

#: After so many passes all messages are read, regardless of their count: messages of cancelled jobs are counted, too.
FULL_SCAN_EVERY_PASSES = 150


class Reconciler(threading.Thread):
    """Runs in the parent process of every worker; one of them makes a pass at a time. Passes are idempotent."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._client = client
        # Not the worker's app: that one knows the task and adds its time limits to messages, and the message filter
        # rejects such messages.
        self._app = create_celery_app(settings)
        self._table = JobTable(client)
        self._stop_requested = threading.Event()
        self._passes = 0

    def run(self) -> None:
        """Make passes until stopped."""
        while not self._stop_requested.wait(RECONCILE_INTERVAL_SECONDS / 4):
            try:
                if self._client.set(RECONCILER_LOCK_KEY, 1, nx=True, px=int(1000 * RECONCILE_INTERVAL_SECONDS)):
                    self.reconcile()
            except (RedisError, ArtDreamError) as error:  # the next pass finds the same jobs
                logger.debug("jobs could not be reconciled: %s", error)
            except Exception:
                logger.exception("the reconciler met a fault, and goes on")

    def stop(self) -> None:
        """Stop after the current pass."""
        self._stop_requested.set()

    def reconcile(self) -> None:
        """Make one pass. Raises RedisError, and ArtDreamError if a job cannot be queued now."""
        for job_id in self._table.list_expired_leases():
            self._requeue(self._table.requeue(job_id), "worker died")
        self._passes += 1
        unclaimed_count = self._table.count_unclaimed(IN_TRANSIT_SECONDS)
        if not unclaimed_count or (
            unclaimed_count <= count_all_queued(self._client) and self._passes % FULL_SCAN_EVERY_PASSES
        ):
            return
        queued_job_ids = set(iter_queued_job_ids(self._client))
        for job_id in self._table.list_unclaimed(IN_TRANSIT_SECONDS):
            if job_id not in queued_job_ids:
                # An accepted job has no message yet; that of a queued job was lost with the process that popped it.
                job = self._table.requeue(job_id, min_age_seconds=IN_TRANSIT_SECONDS) or self._table.get_job(job_id)
                self._requeue(job, "message lost")

    def _requeue(self, job: Job | None, reason: str) -> None:
        if job is not None:
            logger.warning("job %s is put back into its lane: %s", job.id, reason)
            metrics.count_fault(reason)
            submit(self._app, self._table, job)
