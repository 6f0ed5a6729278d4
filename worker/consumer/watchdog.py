"""The watchdog: restarts a worker that is alive but consumes nothing."""

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
from shared.monitoring.exporter import remove_multiprocess_metrics
from shared.redis_keys import WRITE_PROBE_KEY
from shared.timing import Timing
from worker.consumer.flow_control import FlowControl
from worker.consumer.liveness import Liveness

logger = logging.getLogger(__name__)


class Watchdog(threading.Thread):
    """Watches the worker in whose parent process it runs, over a broker connection of its own.

    A connection can be half open, and a consumer can get lost in a reconnect (celery #8030, #8091, #10205): the process
    answers pings but takes no messages. A healthy idle worker takes a waiting message at once. So an idle worker that
    leaves messages waiting is stuck, whatever the reason, unless the broker lets no worker take them.
    """

    def __init__(
        self,
        client: redis.Redis,
        flow_control: FlowControl,
        lanes: Sequence[Lane],
        liveness: Liveness,
        timing: Timing,
    ) -> None:
        """lanes: lanes that the worker serves; in others messages may wait. liveness: marked alive unless stuck."""
        super().__init__(name="watchdog", daemon=True)
        self._client = client
        self._flow_control = flow_control
        self._lanes = lanes
        self._liveness = liveness
        self._timing = timing
        self._stop_requested = threading.Event()
        worker_shutting_down.connect(lambda **_: self.stop(), weak=False)  # a stopping worker takes no messages

    def stop(self) -> None:
        """Stop watching."""
        self._stop_requested.set()

    def run(self) -> None:
        """Watch until stopped; if the worker is stuck, restart its process."""
        last_healthy, deliveries = time.monotonic(), _count_deliveries()
        while not self._stop_requested.wait(self._timing.watchdog_interval_seconds):
            if _count_deliveries() != deliveries or not self._is_ignoring_messages():
                last_healthy, deliveries = time.monotonic(), _count_deliveries()
                if self._flow_control.count_warm():
                    self._liveness.mark_alive(self._timing.liveness_timeout_seconds)
            elif time.monotonic() - last_healthy > self._timing.stuck_timeout_seconds:
                logger.warning(
                    "messages wait and this idle worker has taken none for %.0f s: it restarts",
                    self._timing.stuck_timeout_seconds,
                )
                restart_process()

    def _is_ignoring_messages(self) -> bool:
        try:
            return (
                self._flow_control.has_idle_process()
                and any(count_queued(self._client, lane) for lane in self._lanes)
                and self._takes_writes()
            )
        except RedisError:  # no worker can take messages
            return False

    def _takes_writes(self) -> bool:
        """Return True. Raises RedisError if the broker takes no writes, and so lets no worker take a message.

        A replica, a full disk and full memory refuse writes only: such a broker still answers how many messages wait.
        """
        return bool(self._client.set(WRITE_PROBE_KEY, "", px=1))


def _count_deliveries() -> int:
    """Return the number of deliveries that this worker has taken since it started."""
    return int(state.all_total_count[0])


def restart_process() -> NoReturn:
    """Replace this process with a new one of the same command. Kills its children; their jobs are queued again."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children, timeout=5)
    remove_multiprocess_metrics()  # the new process has a folder of its own
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - needs no shell
