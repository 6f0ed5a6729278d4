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
from worker.consumer.flow_control import Appetite
from worker.consumer.liveness import Pulse

log = logging.getLogger(__name__)

#: Seconds between two looks, and seconds for which an idle worker may leave messages waiting.
EVERY, HUNGER = 3.0, 30.0


class Watchdog(threading.Thread):
    """Watches the worker whose parent process it lives in, over a connection of its own.

    A connection can be half open, and a consumer can be lost in a reconnect (celery #8030, #8091, #10205): the process
    answers pings and takes nothing. An idle worker takes a waiting message at once, so one that leaves them waiting is
    stuck, whatever the reason.
    """

    def __init__(self, client: redis.Redis, appetite: Appetite, lanes: Sequence[Lane], pulse: Pulse) -> None:
        """lanes: those that the worker serves; in the others messages may wait. pulse: beats while all is well."""
        super().__init__(name="watchdog", daemon=True)
        self._client = client
        self._appetite = appetite
        self._lanes = lanes
        self._pulse = pulse
        self._ended = threading.Event()
        worker_shutting_down.connect(lambda **_: self.end(), weak=False)  # from then on it takes nothing by right

    def end(self) -> None:
        """Let it end."""
        self._ended.set()

    def run(self) -> None:
        """Watch until told to end; where the worker is stuck, replace the process by a new one of itself."""
        content, taken = time.monotonic(), _taken()
        while not self._ended.wait(EVERY):
            if _taken() != taken or not self._leaves_waiting():
                content, taken = time.monotonic(), _taken()
                if self._appetite.warm():
                    self._pulse.beat()
            elif time.monotonic() - content > HUNGER:
                log.warning("messages wait and this idle worker has taken none for %.0f s: it starts anew", HUNGER)
                start_anew()

    def _leaves_waiting(self) -> bool:
        try:
            return self._appetite.idle() and any(count_queued(self._client, lane) for lane in self._lanes)
        except RedisError:  # nobody can take anything
            return False


def _taken() -> int:
    """Return how many deliveries this worker took since it started."""
    return int(state.all_total_count[0])


def start_anew() -> NoReturn:
    """Replace this process by a new one of the same command. Its children die, and what they dream is given back."""
    family = psutil.Process().children(recursive=True)
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=5)
    logging.shutdown()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
