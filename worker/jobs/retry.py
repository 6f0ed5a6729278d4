"""Patience: what is done again while the store or the broker is away."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from shared.broker.client import BROKER_UNAVAILABLE
from shared.monitoring import metrics
from shared.storage.store import StoreError

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds between tries; the last one repeats.
BACKOFF = (0.2, 0.5, 1, 2, 5)


class Patience:
    """Has so many seconds for each thing to be done."""

    def __init__(self, seconds: float) -> None:
        #: Those seconds.
        self.seconds = seconds

    def insist(self, action: Callable[[], T]) -> T:
        """Do it, and again with growing pauses while store or broker are away. Raises what it met last, after that."""
        started, tries = time.monotonic(), 0
        while True:
            try:
                return action()
            except (StoreError, *BROKER_UNAVAILABLE) as error:
                if time.monotonic() - started > self.seconds:
                    raise
                if tries == 0:
                    metrics.count_fault("away")
                    log.warning("waiting: %s", error)
                time.sleep(BACKOFF[min(tries, len(BACKOFF) - 1)])
                tries += 1
