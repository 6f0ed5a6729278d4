"""The reconciler: finds accepted jobs that have neither a claim nor a message, and queues them again."""

import logging
import threading
import time

import redis
from redis.exceptions import RedisError

from shared.jobs.queue import count_all_queued, create_celery_app, iter_queued_job_ids, requeue
from shared.jobs.table import JobTable
from shared.monitoring import metrics
from shared.redis_keys import RECONCILER_LOCK_KEY
from shared.settings import Settings
from shared.timing import Timing

logger = logging.getLogger(__name__)

#: After so many passes all messages are read, regardless of their count: messages of cancelled jobs are counted, too.
FULL_SCAN_EVERY_PASSES = 150


class Reconciler(threading.Thread):
    """Runs in the parent process of every worker; one of them makes a pass at a time. Passes are idempotent."""

    def __init__(self, client: redis.Redis, settings: Settings, timing: Timing) -> None:
        super().__init__(name="reconciler", daemon=True)
        self._client = client
        self._interval_seconds, self._in_transit_seconds = timing.reconcile_interval_seconds, timing.in_transit_seconds
        self._app = create_celery_app(settings)
        self._table = JobTable(client, timing=timing)
        self._stop_requested = threading.Event()
        self._passes = 0
        #: Whether there were fewer messages than unclaimed jobs in the last pass.
        self._were_fewer = False
        #: Jobs without a message when all messages were last read, and the monotonic time of that.
        self._missing: set[str] = set()
        self._read_at = 0.0

    def run(self) -> None:
        """Make passes until stopped."""
        while not self._stop_requested.wait(self._interval_seconds / 4):
            try:
                if self._client.set(RECONCILER_LOCK_KEY, 1, nx=True, px=int(1000 * self._interval_seconds)):
                    self.reconcile()
            except RedisError as error:  # the next pass finds the same jobs
                logger.debug("jobs could not be reconciled: %s", error)
            except Exception:
                logger.exception("the reconciler met an unexpected error; it continues with the next pass")

    def stop(self) -> None:
        """Stop after the current pass."""
        self._stop_requested.set()

    def reconcile(self) -> None:
        """Make one pass. Raises RedisError."""
        for job_id in self._table.list_expired_leases():
            self._requeue(job_id, "worker died")
        self._passes += 1
        unclaimed_count = self._table.count_unclaimed(self._in_transit_seconds)
        if not unclaimed_count or not self._should_read_messages(unclaimed_count):
            return
        queued_job_ids = set(iter_queued_job_ids(self._client))
        unclaimed = self._table.list_unclaimed(self._in_transit_seconds)
        missing = [job_id for job_id in unclaimed if job_id not in queued_job_ids]
        # An accepted job has no message yet; that of a queued job was lost with the process that popped it, or was
        # popped a moment ago: it is lost if it is still missing after the time in which a worker claims its job.
        for job_id in missing:
            if job_id in self._missing:
                self._requeue(job_id, "message lost", min_age_seconds=self._in_transit_seconds)
        self._missing, self._read_at = set(missing) - self._missing, time.monotonic()

    def _should_read_messages(self, unclaimed_count: int) -> bool:
        """Return whether a message may be lost: all of them are read only then."""
        were_fewer, self._were_fewer = self._were_fewer, count_all_queued(self._client) < unclaimed_count
        if self._missing:
            return time.monotonic() - self._read_at > self._in_transit_seconds
        return (were_fewer and self._were_fewer) or self._passes % FULL_SCAN_EVERY_PASSES == 0

    def _requeue(self, job_id: str, reason: str, *, min_age_seconds: float | None = None) -> None:
        """Queue a job again, unless it was claimed or has ended meanwhile."""
        job = self._table.requeue(job_id, min_age_seconds=min_age_seconds) or self._table.get_job(job_id)
        if job is not None and requeue(self._app, self._table, job):
            logger.warning("job %s was put back into its lane: %s", job.id, reason)
            metrics.count_fault(reason)
