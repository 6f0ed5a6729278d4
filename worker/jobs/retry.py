"""Retry: repeat an action while the store or the broker is unavailable."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from shared.broker.client import BROKER_OUTAGE, describe_error
from shared.monitoring import metrics
from shared.storage.store import StoreError
from worker.consumer.time_limit import raise_if_interrupted

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds between attempts; the last value repeats.
BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5)


class RetryPolicy:
    """Retries actions, each for a limited time."""

    def __init__(self, timeout_seconds: float) -> None:
        #: Seconds after which an action that fails is not retried any more.
        self.timeout_seconds = timeout_seconds
        #: Whether the last action was being repeated, because store or broker is unavailable, without success so far.
        self.is_waiting = False
        #: Seconds that actions took so far which were repeated or interrupted.
        self.waited_seconds = 0.0

    def retry(self, action: Callable[[], T]) -> T:
        """Run an action and return its result; retry with growing pauses while store or broker is unavailable.

        Raises the last StoreError or broker error after `timeout_seconds`, a permanent StoreError at once, and
        TaskInterrupted.
        """
        started_at, attempts, is_done, self.is_waiting = time.monotonic(), 0, False, False
        try:
            while True:
                try:
                    result = action()
                except (StoreError, *BROKER_OUTAGE) as error:
                    raise_if_interrupted(error)
                    is_permanent = isinstance(error, StoreError) and error.is_permanent
                    if is_permanent or time.monotonic() - started_at > self.timeout_seconds:
                        raise
                    if attempts == 0:
                        self.is_waiting = True
                        metrics.count_fault("away")
                        logger.warning("waiting: %s", describe_error(error))
                    time.sleep(BACKOFF_SECONDS[min(attempts, len(BACKOFF_SECONDS) - 1)])
                    attempts += 1
                else:
                    is_done = True
                    break
        finally:
            if self.is_waiting or not is_done:
                self.waited_seconds += time.monotonic() - started_at
        self.is_waiting = False
        return result
