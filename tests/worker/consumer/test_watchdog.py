"""The watchdog restarts no worker that cannot take messages because of the broker."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.fault.installation import FaultInstallation
from tests.stack import free_port
from tests.waiting import wait_until
from tests.worker.consumer.test_lanes import IMPATIENT, probe_status
from tests.worker_process import worker_command


@contextmanager
def be_replica(installation: FaultInstallation) -> Iterator[None]:
    installation.client.replicaof("127.0.0.1", 1)
    yield
    installation.client.replicaof("NO", "ONE")


@contextmanager
def have_full_memory(installation: FaultInstallation) -> Iterator[None]:
    installation.client.config_set("maxmemory", 1)
    yield
    installation.client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    "fault",
    [
        FaultInstallation.prevent_saving,
        pytest.param(be_replica, marks=pytest.mark.slow),
        pytest.param(have_full_memory, marks=pytest.mark.slow),
    ],
)
def test_a_worker_does_not_restart_while_its_broker_lets_no_worker_take_messages(
    tmp_path: Path, fault: Callable[[FaultInstallation], AbstractContextManager[None]]
) -> None:
    """And its probe stays good. Seen failing while the watchdog only read how many messages wait: it restarted."""
    installation = FaultInstallation(tmp_path)
    try:
        port = free_port()
        worker = installation.start_worker(command=worker_command(timing=IMPATIENT), worker_metrics_port=port)
        parent = psutil.Process(worker.pid)
        parent.suspend()  # so that messages wait when the fault begins
        wait_until(lambda: not installation.client.info("clients")["blocked_clients"], "nothing is taken")
        jobs = [installation.submit(seed) for seed in (1, 2)]  # full memory is noticed when the first has been taken
        with fault(installation):
            parent.resume()

            def has_restarted() -> bool:
                return "it restarts" in installation.log.read_text()

            wait_until(lambda: "Cannot connect" in installation.log.read_text() or has_restarted())
            wait_until(lambda: probe_status(port) == 200 or has_restarted())
            expired_at = time.monotonic() + IMPATIENT.stuck_timeout_seconds + IMPATIENT.liveness_timeout_seconds
            wait_until(lambda: time.monotonic() > expired_at or has_restarted())
            assert not has_restarted()
            assert probe_status(port) == 200
        installation.wait_until(lambda: all(installation.is_ended(job) for job in jobs))
        installation.verify_outcomes()
    finally:
        installation.close()
