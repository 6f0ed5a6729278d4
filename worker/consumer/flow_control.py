"""Appetite: a worker takes no more messages than it has warm and idle processes to dream them."""

import os
from multiprocessing.sharedctypes import RawArray, RawValue
from types import MethodType
from typing import Any

from billiard.process import current_process
from celery import bootsteps
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks


class FlowControl:
    """What the parent and its pool processes know together, in memory that they share since the fork.

    Celery counts processes, warm or not: a message that it takes for one which only starts waits for that one, while
    another worker may be idle.
    """

    def __init__(self, concurrency: int) -> None:
        self._warm_pids = RawArray("i", concurrency)
        self._stopping = RawValue("b", False)
        self._pool: Any = None

    def mark_warm(self) -> None:
        """Say, in a pool process, that it is warm."""
        self._warm_pids[current_process().index] = os.getpid()

    def mark_stopping(self, **_: object) -> None:
        """Say, in the parent, that the worker is to stop."""
        self._stopping.value = True

    @property
    def is_stopping(self) -> bool:
        """Whether the worker is to stop, in any process."""
        return bool(self._stopping.value)

    def count_warm(self) -> int:
        """Return, in the parent, how many of its processes are warm."""
        if self._pool is None:
            return 0
        return len({process.pid for process in self._pool._pool} & set(self._warm_pids))

    def has_idle_process(self) -> bool:
        """Tell, in the parent, whether a warm process has nothing to do."""
        return len(state.reserved_requests) < self.count_warm()

    def make_bootstep(self) -> type[bootsteps.StartStopStep]:
        """Return what makes a Celery consumer heed it."""
        appetite = self

        class FlowControlStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
            requires = (Tasks,)

            def start(self, consumer: Consumer) -> None:
                appetite._pool = consumer.pool._pool
                qos = consumer.task_consumer.channel.qos
                qos.can_consume = MethodType(lambda _: appetite.has_idle_process(), qos)

        return FlowControlStep
