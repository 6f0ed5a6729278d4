"""Patience: what is done again while the store or the broker is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from shared.broker.client import BROKER_UNAVAILABLE
from shared.monitoring import metrics
from shared.storage.store import StoreError

T = TypeVar("T")

logger = logging.getLogger(__name__)

#: Seconds between tries; the last one repeats.
BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5)


class RetryPolicy:
    """Has so many seconds for each thing to be done."""

    def __init__(self, timeout_seconds: float) -> None:
        #: Those seconds.
        self.timeout_seconds = timeout_seconds

    def retry(self, action: Callable[[], T]) -> T:
        """Do it, and again with growing pauses while store or broker are away. Raises what it met last, after that."""
        started, tries = time.monotonic(), 0
        while True:
            try:
                return action()
            except (StoreError, *BROKER_UNAVAILABLE) as error:
                if time.monotonic() - started > self.timeout_seconds:
                    raise
                if tries == 0:
                    metrics.count_fault("away")
                    logger.warning("waiting: %s", error)
                time.sleep(BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)])
                tries += 1
