"""Supervision: background work that starts again after a fault, which is logged and counted."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import redis
from redis.exceptions import RedisError

from shared.broker.client import connect, describe_error
from shared.errors import ArtDreamError
from shared.monitoring import metrics
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds before the first and before later restarts of a task that ends by one fault after the other.
MIN_RESTART_SECONDS, MAX_RESTART_SECONDS = 1.0, 30.0

#: Seconds before work with the broker starts again.
BROKER_RETRY_SECONDS = 1.0

#: Seconds after which a task that has not ended is cancelled again.
CANCEL_INTERVAL_SECONDS = 0.2


@asynccontextmanager
async def run_supervised(*tasks: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Run endless tasks while the context lasts. One that raises an exception starts again after a pause."""
    running = {asyncio.create_task(_restart_after_faults(task)) for task in tasks}
    try:
        yield
    finally:
        while running:  # repeatedly, because a library may swallow a cancellation
            for supervised in running:
                supervised.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_INTERVAL_SECONDS)


async def _restart_after_faults(task: Callable[[], Coroutine[object, object, None]]) -> None:
    delay = MIN_RESTART_SECONDS
    while True:
        started = time.monotonic()
        try:
            await task()
        except Exception:
            metrics.count_fault("bug")
            if time.monotonic() - started > MAX_RESTART_SECONDS:
                delay = MIN_RESTART_SECONDS
            logger.exception("%s ended by a fault; it starts again in %g s", task.__qualname__, delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, MAX_RESTART_SECONDS)


def repeat_with_broker(
    settings: Settings, stop: threading.Event, work: Callable[[redis.Redis], None], *, worker: str, consequence: str
) -> None:
    """Do some work, with a new client of the broker each time, until `stop` is set. Faults are waited out.

    An outage of broker or store is logged when it begins. worker: whose work it is, and consequence: a sentence about
    an outage, both for the log.
    """
    outage = ""
    while not stop.is_set():
        try:
            # The URL is read again: a stack that was restarted may listen on another port.
            with connect(settings.broker) as client:
                work(client)
            outage = ""
        except (RedisError, OSError, ArtDreamError) as error:
            description = describe_error(error)
            if description != outage:
                logger.warning("%s %s", consequence, description)
            outage = description
        except Exception:
            metrics.count_fault("bug")
            logger.exception("%s met an unexpected error, and starts over", worker)
        stop.wait(BROKER_RETRY_SECONDS)
