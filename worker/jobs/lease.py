"""Leases: keep a claimed job claimed until it ends, and notice if the claim is lost."""

import logging
import threading
from types import TracebackType
from typing import Self

import redis

from shared.errors import ArtDreamError
from shared.jobs.table import Claim, JobTable

logger = logging.getLogger(__name__)


class LeaseLost(Exception):
    """The claim is no longer valid: the job was cancelled, or another worker has claimed it."""


class Released(ArtDreamError):
    """The worker has released the job, for a reason that is not the job's, and the message must go back to its lane."""


class LeaseKeeper:
    """Renews the lease of a claim from a thread of its own while the block runs.

    While the broker is unavailable, the lease cannot be renewed, and another worker that can reach the broker may claim
    the job once it has expired. But mostly nobody can, so the claim counts as lost only if the broker reports it.
    """

    def __init__(self, table: JobTable, claim: Claim) -> None:
        self._table = table
        self._claim = claim
        self._lost = threading.Event()
        self._stop_requested = threading.Event()
        self._thread = threading.Thread(target=self._run_renewal, name="hold", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_requested.set()

    def announce_frame(self, frame: str, fraction: float, *, hold: bool) -> bool:
        """Announce a stored frame; False if the claim is no longer valid. Raises RedisError.

        frame: name of its object. fraction: share of the work that is done, in (0, 1]. hold: whether the dream needs
        approval.
        """
        if not self._table.record_progress(self._claim, frame, fraction, hold=hold):
            self._lost.set()
        return not self.is_lost

    @property
    def is_lost(self) -> bool:
        """Whether the claim is known to be lost. Does not ask the broker."""
        return self._lost.is_set()

    def require_lease(self) -> None:
        """Renew the lease now. Raises LeaseLost if the claim is no longer valid, and RedisError."""
        if not self._table.renew_lease(self._claim):
            raise LeaseLost

    def _run_renewal(self) -> None:
        while not self._stop_requested.wait(self._table.timing.renew_interval_seconds):
            try:
                if not self._table.renew_lease(self._claim) and not self._stop_requested.is_set():
                    self._lost.set()
                    return
            except redis.RedisError as error:
                logger.debug("job %s could not be held: %s", self._claim.job.id, error)
