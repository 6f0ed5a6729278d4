"""The spans of one attempt at a job, for its trace."""

import time
from contextlib import suppress

from shared.broker.client import BROKER_OUTAGE
from shared.jobs.table import Claim, JobTable
from shared.monitoring.tracing import SpanName, Tracer, describe_job


class AttemptTrace:
    """Records the spans of an attempt, which began now. All times are epoch seconds. Does nothing without tracing."""

    def __init__(self, tracer: Tracer, claim: Claim, table: JobTable) -> None:
        self._tracer = tracer
        self._claim = claim
        self._table = table
        self._claimed_at = time.time()

    def record_queue(self) -> None:
        """Record the time that the job waited."""
        self.record(SpanName.QUEUE, self._claimed_at - self._claim.queued_seconds, self._claimed_at)

    def record(self, name: SpanName, started_at: float, ended_at: float, outcome: str = "") -> None:
        """Record a span."""
        if self._tracer.is_on:
            self._tracer.record(
                name,
                self._claim.job.id,
                started_at,
                ended_at,
                attributes=describe_job(self._claim.job),
                attempt=self._claim.token,
                outcome=outcome,
            )

    def end(self, outcome: str, arrived_at: float | None = None) -> None:
        """Record the span of this attempt, and that of the photo if the job has ended, for which its arrival is given.

        outcome: “completed”, “failed”, “released”, or “lost” if the job was cancelled or another worker has it.
        """
        ended_at = time.time()
        self.record(SpanName.ATTEMPT, self._claimed_at, ended_at, outcome)
        if arrived_at is not None:
            self.record(SpanName.PHOTO, arrived_at, ended_at, outcome)

    def find_arrival(self) -> float | None:
        """Return when the photo arrived, by this machine's clock; None without tracing.

        To be asked before the job is ended: then the broker forgets it.
        """
        if not self._tracer.is_on:
            return None
        seconds: float | None = None
        with suppress(*BROKER_OUTAGE):
            seconds = self._table.get_seconds_since_arrival(self._claim.job.id)
        if seconds is None:  # unknown to a broker that was wiped meanwhile
            earlier_seconds = self._claim.queued_seconds + sum(self._claim.job.stages.values())
            seconds = time.time() - self._claimed_at + earlier_seconds
        return time.time() - seconds
