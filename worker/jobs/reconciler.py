"""The reconciler: finds accepted jobs that nobody holds and no message tells of, and queues them again."""

import logging
import threading

import redis
from redis.exceptions import RedisError

from shared.broker.client import KEY_PREFIX
from shared.errors import ArtDreamError
from shared.jobs.job import Job
from shared.jobs.queue import count_all_queued, create_celery_app, iter_queued_job_ids, submit
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between two looks, whoever of the workers looks.
RECONCILE_INTERVAL_SECONDS = 2.0

#: Seconds that a message may be between two places: with its producer, or popped and not yet claimed.
IN_TRANSIT_SECONDS = 20.0

#: Every so many looks all messages are read, whatever their number says: those of jobs that were called off count too.
FULL_SCAN_EVERY_PASSES = 150

_LOCK_KEY = f"{KEY_PREFIX}reconciling"


class Reconciler(threading.Thread):
    """Runs in every worker's parent process; one looks at a time. Whatever it does twice has no effect."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._client = client
        # Not the worker's: one that knows the task puts its time limits into messages, which the gate lets nobody do.
        self._app = create_celery_app(settings)
        self._table = JobTable(client)
        self._stop_requested = threading.Event()
        self._passes = 0

    def run(self) -> None:
        """Look until told to end."""
        while not self._stop_requested.wait(RECONCILE_INTERVAL_SECONDS / 4):
            try:
                if self._client.set(_LOCK_KEY, 1, nx=True, px=int(1000 * RECONCILE_INTERVAL_SECONDS)):
                    self.reconcile()
            except (RedisError, ArtDreamError) as error:  # the next look finds the same
                logger.debug("jobs could not be reconciled: %s", error)
            except Exception:
                logger.exception("the reconciler met a fault, and goes on")

    def stop(self) -> None:
        """Let it end after the look that goes on."""
        self._stop_requested.set()

    def reconcile(self) -> None:
        """Look once. Raises RedisError, and ArtDreamError where a job cannot be queued now."""
        for job_id in self._table.list_expired_leases():
            self._requeue(self._table.requeue(job_id), "worker died")
        self._passes += 1
        count = self._table.count_unclaimed(IN_TRANSIT_SECONDS)
        if not count or (count <= count_all_queued(self._client) and self._passes % FULL_SCAN_EVERY_PASSES):
            return
        told = set(iter_queued_job_ids(self._client))
        for job_id in self._table.list_unclaimed(IN_TRANSIT_SECONDS):
            if job_id not in told:
                # An accepted one has no message by right; of a queued one it was lost with whoever had popped it.
                job = self._table.requeue(job_id, min_age_seconds=IN_TRANSIT_SECONDS) or self._table.get_job(job_id)
                self._requeue(job, "message lost")

    def _requeue(self, job: Job | None, reason: str) -> None:
        if job is not None:
            logger.warning("job %s is put back into its lane: %s", job.id, reason)
            metrics.count_fault(reason)
            submit(self._app, self._table, job)
