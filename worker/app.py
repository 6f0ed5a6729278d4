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
from worker.consumer.flow_control import Appetite
from worker.consumer.gpus import pin
from worker.consumer.liveness import Pulse
from worker.consumer.log_routing import one_voice
from worker.consumer.message_filter import guard
from worker.consumer.shutdown import Stopping
from worker.consumer.watchdog import Watchdog
from worker.jobs.lease import HandedBack
from worker.jobs.process_id import name_of
from worker.jobs.reconciler import Reconciler
from worker.jobs.validation import Admission
from worker.quiet_import import importing

if TYPE_CHECKING:
    from worker.dreamer import Dreamer

log = logging.getLogger(__name__)


def engine(settings: Settings) -> "Dreamer":
    """Make the dreamer of an installation. Imports TensorFlow or JAX, so never in a parent (tensorflow #57877)."""
    with importing():
        from worker.dreaming.engine import Engine

        return Engine.of(settings, Store(settings.store))


def run(
    settings: Settings,
    *,
    concurrency: int = 1,
    lanes: Sequence[Lane] = tuple(Lane),
    pulse: Pulse | None = None,
    dreamer: "Callable[[Settings], Dreamer]" = engine,
) -> None:
    """Work until SIGTERM: then finish what is being dreamt, or hand it back when the grace is over, and return.

    concurrency: pool processes; each makes a dreamer for itself. lanes: those that are served, live first in any
    case. pulse: what beats while this worker consumes. Raises ArtDreamError where no broker is known, or where the
    broker may drop what it keeps.
    """
    client = connect(settings.broker)
    with contextlib.suppress(*BROKER_UNAVAILABLE):  # it is waited for
        require_noeviction(client)
    guard(settings)
    served = [lane for lane in Lane if lane in lanes]
    app = create_celery_app(settings)
    appetite = Appetite(concurrency)
    app.steps["consumer"].add(appetite.step())
    process = PoolProcess(settings, appetite, served, dreamer)
    process.register_task(app)
    one_voice()
    worker_process_init.connect(process.begin, weak=False)
    worker_process_shutdown.connect(process.end, weak=False)
    worker_shutting_down.connect(appetite.lose, weak=False)
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
    beside: list[Reconciler | Watchdog | Stopping] = [
        Reconciler(client, settings),
        Watchdog(client, appetite, served, pulse or Pulse()),
        Stopping(settings.grace_seconds),
    ]
    for thread in beside:
        thread.start()
    worker.start()
    for thread in beside:
        thread.end()


class PoolProcess:
    """What lives in a pool process. Everything heavy is made in `begin`, after the fork (tensorflow #57877)."""

    def __init__(
        self,
        settings: Settings,
        appetite: Appetite,
        lanes: Sequence[Lane],
        dreamer: "Callable[[Settings], Dreamer]",
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._appetite = appetite
        self._dreamer = dreamer
        self._name = ""
        self._state, self._since = "warming up", time.time()
        self._gone = threading.Event()
        self._opened = contextlib.ExitStack()

    def register_task(self, app: Celery) -> None:
        """Make the application answer to the dream task."""

        def dream(job_id: str) -> None:
            self._turn("dreaming")
            try:
                with bind_job_id(job_id):
                    if job := self._admission.admit(job_id):
                        self._studio.work(job)
            except (HandedBack, StoreError, *BROKER_UNAVAILABLE) as error:
                # Back to its lane: another worker may do better.
                raise Reject(str(error), requeue=True) from error
            finally:
                self._turn("ready")

        app.task(dream, name=DREAM_TASK)

    def begin(self, **_: object) -> None:
        """Import TensorFlow, load the network, warm the canvases, and say so."""
        self._name = name_of(os.getpid())
        self._register = HeartbeatRegistry(connect(self._settings.broker))
        threading.Thread(target=self._announce, name="presence", daemon=True).start()
        started = time.perf_counter()
        if card := pin(current_process().index):  # a pool process that takes another's place takes its card, too
            log.info("worker %s has card %s to itself", self._name, card)
        dreamer = self._dreamer(self._settings)
        from worker.jobs.processor import Studio

        self._admission = Admission(self._settings)
        self._studio = Studio(self._settings, self._name, dreamer, self._hosts)
        self._opened.callback(self._studio.close)
        for name in self._settings.recipes:
            dreamer.warm(load_recipe(name))
        log.info("worker %s is warm after %.1f s", self._name, time.perf_counter() - started)
        self._turn("ready")
        self._appetite.tell_warm()

    def end(self, **_: object) -> None:
        """Leave the register, and the clips that are not made."""
        self._gone.set()
        with contextlib.suppress(*BROKER_UNAVAILABLE):  # the entry expires by itself
            self._register.remove(Component.WORKER, self._name)
        self._opened.close()

    def _hosts(self) -> bool:
        return Lane.LIVE in self._lanes and not self._appetite.lost

    def _turn(self, state: str) -> None:
        self._state, self._since = state, time.time()
        self._announce_once()

    def _announce(self) -> None:
        while not self._gone.is_set():
            self._announce_once()
            self._gone.wait(HEARTBEAT_TTL_SECONDS / 4)

    def _announce_once(self) -> None:
        try:
            self._register.announce(
                Component.WORKER, self._name, self._state, self._settings.recipe, since=self._since, lanes=self._lanes
            )
        except BROKER_UNAVAILABLE as error:
            log.debug("presence could not be announced: %s", error)
