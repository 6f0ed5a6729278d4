"""The Celery worker: serves lanes with one pool process per device, each warmed up before its first job."""

import contextlib
import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import redis
from billiard.compat import mem_rss
from billiard.process import current_process
from celery import Celery
from celery.exceptions import Reject
from celery.signals import worker_process_init, worker_process_shutdown, worker_shutting_down

from shared.broker.client import BROKER_OUTAGE, connect, describe_error, require_noeviction
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.jobs.queue import DREAM_TASK, create_celery_app
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.monitoring.logs import bind_job_id
from shared.provenance.signing import load_signer
from shared.recipe.recipe import load_recipe
from shared.runtime_settings import initialize_runtime_settings
from shared.settings import Settings
from shared.storage.store import Store, StoreError
from shared.timing import DEFAULT_TIMING, Timing
from worker.consumer.flow_control import FlowControl
from worker.consumer.gpus import pin_gpu
from worker.consumer.liveness import Liveness
from worker.consumer.log_routing import route_logs
from worker.consumer.message_filter import install_message_filter
from worker.consumer.shutdown import GracefulShutdown
from worker.consumer.time_limit import TaskInterrupted, raise_if_interrupted
from worker.consumer.watchdog import Watchdog
from worker.jobs.lease import Released
from worker.jobs.process_id import make_process_id
from worker.jobs.reconciler import Reconciler
from worker.quiet_import import quiet_import

if TYPE_CHECKING:
    from worker.dreamer import Dreamer

logger = logging.getLogger(__name__)


#: Seconds until a pool process that could not warm up is replaced.
WARM_UP_RETRY_SECONDS = 30.0


def make_engine(settings: Settings) -> "Dreamer":
    """Create the engine of an installation.

    Imports TensorFlow or JAX: call it in a pool process only, never in the parent that forks (tensorflow #57877).
    """
    with quiet_import():
        import keras

        from worker.dreaming.engine import Engine

        engine, device = Engine.from_settings(settings, Store(settings.store)), keras.distribution.list_devices()[0]
    logger.info("dreams are rendered by %s on %s", keras.backend.backend(), device)
    return engine


def run(
    settings: Settings,
    *,
    concurrency: int = 1,
    lanes: Sequence[Lane] = tuple(Lane),
    liveness: Liveness | None = None,
    make_dreamer: "Callable[[Settings], Dreamer]" = make_engine,
    timing: Timing = DEFAULT_TIMING,
) -> None:
    """Process jobs until SIGTERM or SIGINT; then finish the current ones, or release them after the grace period.

    concurrency: number of pool processes; each creates its own dreamer. lanes: lanes to serve; live always comes first.
    liveness: marked alive while this worker consumes. make_dreamer: creates the dreamer of a pool process. timing: the
    same for all workers of an installation. Raises ArtDreamError if no broker is configured, if the broker may evict
    keys, if a recipe of the settings or the key for C2PA is invalid, if the network that moderates is missing or
    damaged, or if the worker ended because of a fault.
    """
    for name in settings.recipes:
        load_recipe(name)
    load_signer(settings)
    if settings.moderation == "hold":
        from worker.networks.open_nsfw import read_weights  # else nothing of it is loaded

        read_weights()  # each pool process would meet the same, and be started again
    client = connect(settings.broker)
    with contextlib.suppress(*BROKER_OUTAGE):  # Celery waits for the broker
        require_noeviction(client)
        if settings.approval:  # this worker's dreams are held even if broker or store is unavailable now
            with contextlib.suppress(StoreError):
                initialize_runtime_settings(client, Store(settings.store), approval=True)
    install_message_filter(settings)
    served_lanes = [lane for lane in Lane if lane in lanes]
    app = create_celery_app(settings)
    flow_control = FlowControl(concurrency)
    app.steps["consumer"].add(flow_control.make_bootstep())
    pool_process = PoolProcess(settings, flow_control, served_lanes, make_dreamer, timing)
    pool_process.register_task(app)
    route_logs()
    worker_process_init.connect(pool_process.start, weak=False)
    worker_process_shutdown.connect(pool_process.stop, weak=False)
    worker_shutting_down.connect(flow_control.mark_stopping, weak=False)
    worker = app.Worker(
        hostname=f"artdream@{platform.node()}-{os.getpid()}",
        concurrency=concurrency,
        pool="prefork",
        queues=[lane.value for lane in served_lanes],
        without_gossip=True,
        without_heartbeat=True,  # the heartbeat registry replaces it
        without_mingle=True,
        quiet=True,
        loglevel=logging.getLogger().getEffectiveLevel(),
    )
    threads: list[Reconciler | Watchdog | GracefulShutdown] = [
        Reconciler(client, settings, timing),
        Watchdog(client, flow_control, served_lanes, liveness or Liveness(), timing),
        GracefulShutdown(settings.grace_seconds),
    ]
    for thread in threads:
        thread.start()
    worker.start()
    for thread in threads:
        thread.stop()
    if flow_control.has_failed:
        raise ArtDreamError("The worker has ended, because it could not warm up; its log says why.")
    if worker.exitcode and not flow_control.is_stopping:  # Celery's exit code is 1 after SIGINT, too
        raise ArtDreamError("The worker has ended because of a fault, which its log describes: start it again.")


class PoolProcess:
    """State of a pool process. Everything heavy is created in `start`, after the fork (tensorflow #57877)."""

    def __init__(
        self,
        settings: Settings,
        flow_control: FlowControl,
        lanes: Sequence[Lane],
        make_dreamer: "Callable[[Settings], Dreamer]",
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._flow_control = flow_control
        self._make_dreamer = make_dreamer
        self._timing = timing
        self._process_id = ""
        self._max_memory_kb: int | None = None
        self._state, self._state_since = "warming up", time.time()
        self._is_announced = True
        self._stop_requested = threading.Event()
        self._resources = contextlib.ExitStack()

    def register_task(self, app: Celery) -> None:
        """Register the dream task with the application."""

        self._max_memory_kb = app.conf.worker_max_memory_per_child

        def dream(job_id: str) -> None:
            try:
                self._set_state("dreaming")
                with bind_job_id(job_id):
                    self._processor.process(job_id)
            except (Released, StoreError, TaskInterrupted, *BROKER_OUTAGE) as error:
                # The message goes back to its lane: another worker may succeed.
                raise Reject(str(error), requeue=True) from error
            finally:
                if self._exceeds_memory_limit():  # the pool ends this process, once it has the result
                    self._flow_control.mark_ending()
                self._set_state("ready")

        app.task(dream, name=DREAM_TASK)

    def start(self, **_: object) -> None:
        """Create the dreamer, warm up the recipes of the installation, and mark the process as warm.

        If that is impossible, end the worker, or only this process if another one is warm or may get so.
        """
        try:
            self._warm_up()
        except Exception as error:  # Celery would keep a process that takes no jobs
            if not self._flow_control.is_stopping:
                self._report_failure(error)

    def _warm_up(self) -> None:
        self._process_id = make_process_id(os.getpid())
        self._registry = HeartbeatRegistry(connect(self._settings.broker), self._timing)
        threading.Thread(target=self._run_heartbeat, name="presence", daemon=True).start()
        started_at = time.perf_counter()
        if gpu := pin_gpu(current_process().index):  # a pool process that replaces another also takes over its GPU
            logger.info("worker %s has card %s to itself", self._process_id, gpu)
        dreamer = self._make_dreamer(self._settings)
        from worker.jobs.processor import JobProcessor
        from worker.jobs.retry import RetryPolicy

        self._processor = JobProcessor(
            self._settings,
            self._process_id,
            dreamer,
            self._may_preempt,
            lambda: self._flow_control.is_stopping,
            self._timing,
        )
        self._resources.callback(self._processor.close)
        retry_policy, errors = RetryPolicy(self._timing.warm_up_store_seconds), []
        for recipe in map(load_recipe, self._settings.recipes):
            try:
                retry_policy.retry(lambda recipe=recipe: dreamer.warm_up(recipe))  # type: ignore[misc]
            except Exception as error:  # the other recipes can still be dreamt
                raise_if_interrupted(error)
                errors.append(error)
                _log_failure(f"The recipe {recipe.name} could not be warmed up", error)
            retry_policy.timeout_seconds = max(0, self._timing.warm_up_store_seconds - retry_policy.waited_seconds)
        if len(errors) == len(self._settings.recipes):
            raise ArtDreamError("No recipe could be warmed up.") from errors[-1]
        if self._exceeds_memory_limit():  # it would be replaced after each dream
            raise ArtDreamError(
                f"A process takes {mem_rss() // 1024} MB to warm up: set ARTDREAM_WORKER_PROCESS_MB to more, or to 0."
            )
        logger.info("worker %s is warm after %.1f s", self._process_id, time.perf_counter() - started_at)
        self._flow_control.mark_warm()
        self._set_state("ready")

    def _report_failure(self, error: Exception) -> None:
        """Say why this process cannot warm up, and end it, or the worker if no process can."""
        _log_failure(f"Worker {self._process_id} could not warm up", error)
        self._set_state("failed")
        self._flow_control.mark_failed()
        if self._flow_control.has_failed:
            os.kill(os.getppid(), signal.SIGTERM)
        ends_at = time.monotonic() + WARM_UP_RETRY_SECONDS
        while not self._flow_control.is_stopping:
            if time.monotonic() > ends_at:
                os._exit(1)  # the pool starts another one
            time.sleep(0.1)

    def stop(self, **_: object) -> None:
        """Remove the process from the heartbeat registry, and stop making clips."""
        self._stop_requested.set()
        with contextlib.suppress(redis.RedisError):  # the entry expires by itself
            self._registry.remove(Component.WORKER, self._process_id)
        self._resources.close()

    def _exceeds_memory_limit(self) -> bool:
        """Return whether this process has ever taken more memory than it may, by the pool's own measure."""
        return self._max_memory_kb is not None and mem_rss() > self._max_memory_kb

    def _may_preempt(self) -> bool:
        return Lane.LIVE in self._lanes and not self._flow_control.is_stopping

    def _set_state(self, state: str) -> None:
        self._state, self._state_since = state, time.time()
        self._send_heartbeat()

    def _run_heartbeat(self) -> None:
        while not self._stop_requested.is_set():
            self._send_heartbeat()
            self._stop_requested.wait(self._timing.heartbeat_ttl_seconds / 4)

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
        except redis.RedisError as error:
            if self._is_announced:
                logger.warning("%s", describe_error(error))
            self._is_announced = False
        else:
            self._is_announced = True


def _log_failure(sentence: str, error: Exception) -> None:
    """Log what failed and why; with a traceback if the error is a bug."""
    is_expected = isinstance(error, ArtDreamError)
    logger.error("%s: %s", sentence, str(error) or type(error).__name__, exc_info=None if is_expected else error)
