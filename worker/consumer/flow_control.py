"""Flow control: a worker takes no more messages than it has warm, idle pool processes."""

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
    """State that the parent and its pool processes share, in memory allocated before the fork.

    Celery counts all pool processes, warm or not. It would take a message for a process that is still starting, and the
    message would wait there while another worker may be idle.
    """

    def __init__(self, concurrency: int) -> None:
        self._warm_pids = RawArray("i", concurrency)
        self._failed = RawArray("b", concurrency)
        self._stopping = RawValue("b", False)
        self._pool: Any = None

    def mark_warm(self) -> None:
        """Mark this pool process as warm."""
        self._warm_pids[current_process().index] = os.getpid()
        self._failed[current_process().index] = False

    def mark_ending(self) -> None:
        """Mark this pool process as one that ends after its task, so that it is given no other."""
        self._warm_pids[current_process().index] = 0

    def mark_failed(self) -> None:
        """Mark this pool process, and the one that replaces it until that is warm, as unable to warm up."""
        self._failed[current_process().index] = True

    @property
    def has_failed(self) -> bool:
        """Whether no pool process could warm up. Valid in every process."""
        return all(self._failed)

    def mark_stopping(self, **_: object) -> None:
        """Mark the worker as stopping. Call in the parent process."""
        self._stopping.value = True

    @property
    def is_stopping(self) -> bool:
        """Whether the worker is stopping. Valid in every process."""
        return bool(self._stopping.value)

    def count_warm(self) -> int:
        """Return the number of warm pool processes. Call in the parent process."""
        if self._pool is None:
            return 0
        return len({process.pid for process in self._pool._pool} & set(self._warm_pids))

    def has_idle_process(self) -> bool:
        """Return whether a warm pool process is idle. Call in the parent process."""
        return len(state.reserved_requests) < self.count_warm()

    def make_bootstep(self) -> type[bootsteps.StartStopStep]:
        """Return the bootstep that makes a Celery consumer fetch a message only for a warm, idle pool process."""
        flow_control = self

        class FlowControlStep(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
            requires = (Tasks,)

            def start(self, consumer: Consumer) -> None:
                flow_control._pool = consumer.pool._pool
                qos = consumer.task_consumer.channel.qos
                qos.can_consume = MethodType(lambda _: flow_control.has_idle_process(), qos)

        return FlowControlStep
