"""Supervision: background tasks that start again after a fault, which is logged and counted."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

from shared.monitoring import metrics

logger = logging.getLogger(__name__)

#: Seconds before the first and before later restarts of a task that ends by one fault after the other.
MIN_RESTART_SECONDS, MAX_RESTART_SECONDS = 1.0, 30.0

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
