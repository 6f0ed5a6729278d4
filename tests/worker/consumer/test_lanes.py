"""A worker that serves one lane leaves the other alone, and reports whether it consumes."""

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from shared.jobs.events import Started
from shared.jobs.job import Lane
from shared.monitoring.exporter import CONSUMING_PATH
from shared.monitoring.heartbeat import HeartbeatRegistry
from tests.dreamer import hold_dreams
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.stack import free_port
from tests.worker_process import SHORT_TIMING, STALLED_MESSAGE, worker_command
from worker.consumer.liveness import Liveness

#: With these times the watchdog soon replaces a worker that consumes nothing, and never does.
IMPATIENT, PATIENT = (replace(SHORT_TIMING, stuck_timeout_seconds=seconds) for seconds in (3.0, 1e6))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultInstallation]:
    fault_installation = FaultInstallation(tmp_path_factory.mktemp("lanes"), grace_seconds=1.0)
    yield fault_installation
    fault_installation.close()


def probe_status(port: int) -> int:
    """Return the HTTP status of the liveness probe, 0 if the port does not answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{CONSUMING_PATH}", timeout=5) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code
    except OSError:  # it does not listen, or stops meanwhile
        return 0


def test_a_worker_of_the_batch_lane_leaves_live_photos_to_others(installation: FaultInstallation) -> None:
    """And does not restart because of them: fails with a watchdog that counts the jobs of every lane."""
    port = free_port()
    batch_worker = installation.start_worker(
        command=worker_command("--lane", "batch", timing=IMPATIENT), worker_metrics_port=port
    )
    pool_process_pid = batch_worker.pool_process.pid
    [heartbeat] = HeartbeatRegistry(installation.client).list_heartbeats()
    assert heartbeat.lanes == ("batch",)
    live_worker = installation.start_worker(command=worker_command("--lane", "live", timing=IMPATIENT))
    stall(installation, live_worker)
    live, batch = installation.submit(1), installation.submit(2, lane=Lane.BATCH)
    # The stalled worker's watchdog acts, so that of the other has had the time to.
    installation.wait_until(lambda: "it restarts" in installation.log.read_text())
    installation.wait_until(lambda: installation.is_ended(batch) and installation.is_ended(live))
    [started] = installation.events_of(live, Started)
    assert isinstance(started, Started)
    assert not started.worker.endswith(f"-{pool_process_pid}")
    assert batch_worker.pool_process.pid == pool_process_pid
    assert probe_status(port) == 200
    installation.verify_outcomes()
    stop_workers(batch_worker, live_worker)


@pytest.mark.slow
def test_a_worker_that_takes_nothing_tells_a_probe_so_and_one_without_a_broker_does_not(
    installation: FaultInstallation,
) -> None:
    port = free_port()
    hold_dreams(installation.settings.data)
    worker = installation.start_worker(
        command=worker_command("--lane", "live", timing=PATIENT),
        worker_metrics_port=port,
        recipe=str(installation.folder / f"{installation.held_recipe.name}.toml"),
        wait=False,
    )
    installation.wait_until(lambda: probe_status(port) == 503)  # it serves HTTP, but is not warm yet
    installation.release_dreams()
    installation.wait_until(lambda: probe_status(port) == 200)
    installation.broker.stop()
    expired_at = time.monotonic() + PATIENT.liveness_timeout_seconds
    while time.monotonic() < expired_at:
        assert probe_status(port) == 200
    installation.broker.start()
    installation.wait_until(lambda: installation.is_ended(installation.submit(4)))
    stall(installation, worker)
    job = installation.submit(3)
    installation.wait_until(lambda: probe_status(port) == 503)
    assert not installation.is_started(job)
    stop_workers(worker)
    worker = installation.start_worker()
    installation.wait_until(lambda: installation.is_ended(job))
    stop_workers(worker)


def test_liveness_is_false_before_the_first_mark_and_after_the_last_has_expired() -> None:
    liveness = Liveness()
    assert not liveness.is_alive()
    liveness.mark_alive(60)
    assert liveness.is_alive()
    liveness.mark_alive(0)
    assert not liveness.is_alive()


def stall(installation: FaultInstallation, worker: WorkerProcess) -> None:
    """Make a worker take no more messages."""
    log_length = len(installation.log.read_text())
    worker.process.send_signal(signal.SIGUSR2)
    installation.wait_until(lambda: STALLED_MESSAGE in installation.log.read_text()[log_length:])


def stop_workers(*workers: WorkerProcess) -> None:
    """Stop workers with SIGTERM, as a cluster does, and check that they exit with 0."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        assert worker.process.wait() == 0
