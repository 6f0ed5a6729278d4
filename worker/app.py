"""The Celery worker: lanes in, one pool process per device, each warm before its first job."""

import contextlib
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from billiard.process import current_process
from celery import Celery
from celery.exceptions import Reject
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

from shared.broker.client import BROKER_UNAVAILABLE, connect, require_noeviction
from shared.jobs.job import Lane
from shared.jobs.queue import DREAM_TASK, create_celery_app
from shared.monitoring.heartbeat import HEARTBEAT_TTL_SECONDS, Component, HeartbeatRegistry
from shared.monitoring.logs import bind_job_id
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from worker.consumer.flow_control import FlowControl
from worker.consumer.gpus import pin_gpu
from worker.consumer.liveness import Liveness
from worker.consumer.log_routing import route_logs
from worker.consumer.message_filter import install_message_filter
from worker.consumer.shutdown import GracefulShutdown
from worker.consumer.watchdog import Watchdog
from worker.jobs.lease import Released
from worker.jobs.process_id import make_process_id
from worker.jobs.reconciler import Reconciler
from worker.jobs.validation import JobValidation
from worker.quiet_import import quiet_import

if TYPE_CHECKING:
    from worker.dreamer import Dreamer

logger = logging.getLogger(__name__)


def make_engine(settings: Settings) -> "Dreamer":
    """Make the dreamer of an installation. Imports TensorFlow or JAX, so never in a parent (tensorflow #57877)."""
    with quiet_import():
        from worker.dreaming.engine import Engine

        return Engine.from_settings(settings, Store(settings.store))


def run(
    settings: Settings,
    *,
    concurrency: int = 1,
    lanes: Sequence[Lane] = tuple(Lane),
    liveness: Liveness | None = None,
    make_dreamer: "Callable[[Settings], Dreamer]" = make_engine,
) -> None:
    """Work until SIGTERM: then finish what is being dreamt, or hand it back when the grace is over, and return.

    concurrency: pool processes; each makes a dreamer for itself. lanes: those that are served, live first in any
    case. pulse: what beats while this worker consumes. Raises ArtDreamError where no broker is known, or where the
    broker may drop what it keeps.
    """
    client = connect(settings.broker)
    with contextlib.suppress(*BROKER_UNAVAILABLE):  # it is waited for
        require_noeviction(client)
    install_message_filter(settings)
    served = [lane for lane in Lane if lane in lanes]
    app = create_celery_app(settings)
    appetite = FlowControl(concurrency)
    app.steps["consumer"].add(appetite.make_bootstep())
    process = PoolProcess(settings, appetite, served, make_dreamer)
    process.register_task(app)
    route_logs()
    worker_process_init.connect(process.start, weak=False)
    worker_process_shutdown.connect(process.stop, weak=False)
    worker_shutting_down.connect(appetite.mark_stopping, weak=False)
    worker = app.Worker(
        hostname=f"artdream@{platform.node()}-{os.getpid()}",
        concurrency=concurrency,
        pool="prefork",
        queues=[lane.value for lane in served],
        without_gossip=True,
        without_heartbeat=True,  # the register of those present has its own
        without_mingle=True,
        quiet=True,
        loglevel=logging.getLogger().getEffectiveLevel(),
    )
    beside: list[Reconciler | Watchdog | GracefulShutdown] = [
        Reconciler(client, settings),
        Watchdog(client, appetite, served, liveness or Liveness()),
        GracefulShutdown(settings.grace_seconds),
    ]
    for thread in beside:
        thread.start()
    worker.start()
    for thread in beside:
        thread.stop()


class PoolProcess:
    """What lives in a pool process. Everything heavy is made in `begin`, after the fork (tensorflow #57877)."""

    def __init__(
        self,
        settings: Settings,
        flow_control: FlowControl,
        lanes: Sequence[Lane],
        make_dreamer: "Callable[[Settings], Dreamer]",
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._flow_control = flow_control
        self._make_dreamer = make_dreamer
        self._process_id = ""
        self._state, self._state_since = "warming up", time.time()
        self._stop_requested = threading.Event()
        self._resources = contextlib.ExitStack()

    def register_task(self, app: Celery) -> None:
        """Make the application answer to the dream task."""

        def dream(job_id: str) -> None:
            self._set_state("dreaming")
            try:
                with bind_job_id(job_id):
                    if job := self._validation.validate(job_id):
                        self._processor.process(job)
            except (Released, StoreError, *BROKER_UNAVAILABLE) as error:
                # Back to its lane: another worker may do better.
                raise Reject(str(error), requeue=True) from error
            finally:
                self._set_state("ready")

        app.task(dream, name=DREAM_TASK)

    def start(self, **_: object) -> None:
        """Import TensorFlow, load the network, warm the canvases, and say so."""
        self._process_id = make_process_id(os.getpid())
        self._registry = HeartbeatRegistry(connect(self._settings.broker))
        threading.Thread(target=self._run_heartbeat, name="presence", daemon=True).start()
        started = time.perf_counter()
        if card := pin_gpu(current_process().index):  # a pool process that takes another's place takes its card, too
            logger.info("worker %s has card %s to itself", self._process_id, card)
        dreamer = self._make_dreamer(self._settings)
        from worker.jobs.processor import JobProcessor

        self._validation = JobValidation(self._settings)
        self._processor = JobProcessor(self._settings, self._process_id, dreamer, self._may_preempt)
        self._resources.callback(self._processor.close)
        for name in self._settings.recipes:
            dreamer.warm_up(load_recipe(name))
        logger.info("worker %s is warm after %.1f s", self._process_id, time.perf_counter() - started)
        self._set_state("ready")
        self._flow_control.mark_warm()

    def stop(self, **_: object) -> None:
        """Leave the register, and the clips that are not made."""
        self._stop_requested.set()
        with contextlib.suppress(*BROKER_UNAVAILABLE):  # the entry expires by itself
            self._registry.remove(Component.WORKER, self._process_id)
        self._resources.close()

    def _may_preempt(self) -> bool:
        return Lane.LIVE in self._lanes and not self._flow_control.is_stopping

    def _set_state(self, state: str) -> None:
        self._state, self._state_since = state, time.time()
        self._send_heartbeat()

    def _run_heartbeat(self) -> None:
        while not self._stop_requested.is_set():
            self._send_heartbeat()
            self._stop_requested.wait(HEARTBEAT_TTL_SECONDS / 4)

    def _send_heartbeat(self) -> None:
        try:
            self._registry.announce(
                Component.WORKER,
                self._process_id,
                self._state,
                self._settings.recipe,
                since=self._state_since,
                lanes=self._lanes,
            )
        except BROKER_UNAVAILABLE as error:
            logger.debug("presence could not be announced: %s", error)
