"""The watchdog: a worker that is alive but eats nothing starts itself anew."""

import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import NoReturn

import psutil
import redis
from celery.signals import worker_shutting_down
from celery.worker import state
from redis.exceptions import RedisError

from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from worker.consumer.flow_control import FlowControl
from worker.consumer.liveness import Liveness

logger = logging.getLogger(__name__)

#: Seconds between two looks, and seconds for which an idle worker may leave messages waiting.
CHECK_INTERVAL_SECONDS, STUCK_TIMEOUT_SECONDS = 3.0, 30.0


class Watchdog(threading.Thread):
    """Watches the worker whose parent process it lives in, over a connection of its own.

    A connection can be half open, and a consumer can be lost in a reconnect (celery #8030, #8091, #10205): the process
    answers pings and takes nothing. An idle worker takes a waiting message at once, so one that leaves them waiting is
    stuck, whatever the reason.
    """

    def __init__(
        self, client: redis.Redis, flow_control: FlowControl, lanes: Sequence[Lane], liveness: Liveness
    ) -> None:
        """lanes: those that the worker serves; in the others messages may wait. pulse: beats while all is well."""
        super().__init__(name="watchdog", daemon=True)
        self._client = client
        self._flow_control = flow_control
        self._lanes = lanes
        self._liveness = liveness
        self._stop_requested = threading.Event()
        worker_shutting_down.connect(lambda **_: self.stop(), weak=False)  # from then on it takes nothing by right

    def stop(self) -> None:
        """Let it end."""
        self._stop_requested.set()

    def run(self) -> None:
        """Watch until told to end; where the worker is stuck, replace the process by a new one of itself."""
        content, taken = time.monotonic(), _count_deliveries()
        while not self._stop_requested.wait(CHECK_INTERVAL_SECONDS):
            if _count_deliveries() != taken or not self._is_ignoring_messages():
                content, taken = time.monotonic(), _count_deliveries()
                if self._flow_control.count_warm():
                    self._liveness.mark_alive()
            elif time.monotonic() - content > STUCK_TIMEOUT_SECONDS:
                logger.warning(
                    "messages wait and this idle worker has taken none for %.0f s: it starts anew",
                    STUCK_TIMEOUT_SECONDS,
                )
                restart_process()

    def _is_ignoring_messages(self) -> bool:
        try:
            return self._flow_control.has_idle_process() and any(
                count_queued(self._client, lane) for lane in self._lanes
            )
        except RedisError:  # nobody can take anything
            return False


def _count_deliveries() -> int:
    """Return how many deliveries this worker took since it started."""
    return int(state.all_total_count[0])


def restart_process() -> NoReturn:
    """Replace this process by a new one of the same command. Its children die, and what they dream is given back."""
    family = psutil.Process().children(recursive=True)
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=5)
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
