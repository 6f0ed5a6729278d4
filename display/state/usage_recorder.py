"""Usage recorder: counts what guests do on this display's pages, without delaying them."""

import asyncio
import logging
import secrets
import time
from collections import deque
from dataclasses import dataclass

from display.state.broker_pool import BrokerPool
from display.state.stream_reader import BROKER_ERRORS, MAX_RETRY_SECONDS, MIN_RETRY_SECONDS
from display.web.threads import run_in_thread
from shared.monitoring.usage_counts import Counted, count, make_name

logger = logging.getLogger(__name__)

#: Events that wait for the broker. Once there are more, the oldest are not counted.
MAX_WAITING_EVENTS = 10_000


@dataclass(frozen=True)
class _Event:
    kind: Counted
    labels: tuple[str, ...]
    #: Random: an event whose reply was lost is not counted twice.
    id: str
    #: By the monotonic clock.
    at: float
    job_id: str


class UsageRecorder:
    """Counts events in the background. While the broker is unavailable they wait, each for the hour it happened in."""

    def __init__(self, broker: BrokerPool) -> None:
        self._broker = broker
        self._waiting: deque[_Event] = deque(maxlen=MAX_WAITING_EVENTS)
        self._has_waiting = asyncio.Event()

    def record(self, kind: Counted, *labels: str, job_id: str = "") -> None:
        """Count an event soon. Call it from the event loop. Raises ValueError for an invalid label.

        job_id: of the dream that it happened to, if it did.
        """
        make_name(kind, *labels)
        self._waiting.append(_Event(kind, labels, secrets.token_hex(16), time.monotonic(), job_id))
        self._has_waiting.set()

    async def run(self) -> None:
        """Count what is recorded, until cancelled."""
        delay = MIN_RETRY_SECONDS
        while True:
            await self._has_waiting.wait()
            self._has_waiting.clear()
            try:
                await run_in_thread(self._count_waiting)
                delay = MIN_RETRY_SECONDS
            except BROKER_ERRORS as error:
                logger.debug("nothing was counted: %s", error)
                self._has_waiting.set()
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)

    def _count_waiting(self) -> None:
        """Count all events that wait. Raises BROKER_ERRORS; what was not counted still waits."""
        client = self._broker.get()
        while self._waiting:
            event = self._waiting.popleft()
            age = time.monotonic() - event.at
            try:
                count(client, event.kind, *event.labels, event_id=event.id, seconds_ago=age, job_id=event.job_id)
            except BROKER_ERRORS:
                self._waiting.appendleft(event)
                raise
