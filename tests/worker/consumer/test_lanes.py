"""A worker that serves one lane leaves the other alone, and reports whether it consumes."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.monitoring.exporter import CONSUMING_PATH
from shared.monitoring.heartbeat import HeartbeatRegistry
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.stack import free_port
from worker.consumer.liveness import Liveness

WORKER_COMMAND = (sys.executable, "-m", "artdream", "worker")

#: A worker with a fast watchdog, which stops consuming on SIGUSR2, as no real worker does.
STALLING_WORKER_SCRIPT = """
import signal, sys
from celery.signals import worker_ready
from artdream.cli.main import main
from worker.consumer import liveness
from worker.consumer import watchdog

watchdog.CHECK_INTERVAL_SECONDS, liveness.LIVENESS_TIMEOUT_SECONDS = 0.2, 2.0

@worker_ready.connect(weak=False)
def obey(sender, **_):
    signal.signal(signal.SIGUSR2, lambda *_: sender.cancel_task_queue("live"))

sys.argv = ["artdream", "worker", "--lane", "live"]
main()
"""


#: Seconds after which the watchdog of the next worker replaces it.
STUCK_TIMEOUT_SECONDS = 4.0
IMPATIENT_WORKER_SCRIPT = f"""
import sys
from artdream.cli.main import main
from worker.consumer import watchdog

watchdog.CHECK_INTERVAL_SECONDS, watchdog.STUCK_TIMEOUT_SECONDS = 0.2, {STUCK_TIMEOUT_SECONDS}
sys.argv = ["artdream", "worker", "--lane", "batch"]
main()
"""


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
    except URLError:
        return 0


def test_a_worker_of_the_batch_lane_leaves_live_photos_to_others(
    installation: FaultInstallation, tmp_path: Path
) -> None:
    """And does not restart because of them: fails with a watchdog that counts the jobs of every lane."""
    port = free_port()
    worker = installation.start_worker(
        command=(sys.executable, "-c", IMPATIENT_WORKER_SCRIPT), worker_metrics_port=port
    )
    worker_pid, pool_process_pid = worker.pid, worker.pool_process.pid
    live, batch = installation.submit(1), installation.submit(2, lane=Lane.BATCH)
    installation.wait_until(lambda: installation.is_ended(batch))
    with pytest.raises(AssertionError):
        installation.wait_until(lambda: installation.is_started(live), timeout=2 * STUCK_TIMEOUT_SECONDS)
    assert count_queued(installation.client, Lane.LIVE) == 1
    assert (worker.pid, worker.pool_process.pid) == (worker_pid, pool_process_pid)
    assert probe_status(port) == 200
    assert [heartbeat.lanes for heartbeat in HeartbeatRegistry(installation.client).list_heartbeats()] == [("batch",)]
    live_worker = installation.start_worker(command=(*WORKER_COMMAND, "--lane", "live"), wait=False)
    installation.wait_until(lambda: installation.is_ended(live))
    installation.verify_outcomes()
    stop_workers(worker, live_worker)


def test_a_worker_that_takes_nothing_tells_a_probe_so_and_one_without_a_broker_does_not(
    installation: FaultInstallation,
) -> None:
    port = free_port()
    worker = installation.start_worker(
        command=(sys.executable, "-c", STALLING_WORKER_SCRIPT), worker_metrics_port=port, wait=False
    )
    installation.wait_until(lambda: probe_status(port) == 503)  # it serves HTTP, but is not warm yet
    installation.wait_until(lambda: probe_status(port) == 200, timeout=120)
    installation.kill_broker()
    time.sleep(5)  # longer than the liveness timeout
    assert probe_status(port) == 200
    installation.start_broker()
    installation.wait_until(lambda: installation.is_ended(installation.submit(4)))
    worker.process.send_signal(signal.SIGUSR2)
    job = installation.submit(3)
    installation.wait_until(lambda: probe_status(port) == 503)
    assert not installation.is_started(job)
    stop_workers(worker)
    installation.wait_until(lambda: bool(installation.start_worker()))
    installation.wait_until(lambda: installation.is_ended(job))


def test_liveness_is_false_before_the_first_mark() -> None:
    liveness = Liveness()
    assert not liveness.is_alive()
    liveness.mark_alive()
    assert liveness.is_alive()


def stop_workers(*workers: WorkerProcess) -> None:
    """Stop workers with SIGTERM, as a cluster does, and check that they exit with 0."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        assert worker.process.wait(40) == 0
