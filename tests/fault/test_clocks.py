"""Clocks of machines may differ by minutes: no deadline depends on them."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed, Started
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.skip import skip_or_fail

WORKER_COMMAND = (sys.executable, "-m", "artdream", "worker")


@pytest.fixture(scope="module")
def skewed_installation(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FaultInstallation, WorkerProcess, WorkerProcess]]:
    """An installation with a worker whose clock is five minutes slow and one whose clock is five minutes fast."""
    if shutil.which("faketime") is None:
        skip_or_fail("faketime is not installed (Debian's package faketime)")
    installation = FaultInstallation(tmp_path_factory.mktemp("skewed"))
    slow, fast = (
        installation.start_worker(wait=False, command=("faketime", "--exclude-monotonic", "-f", shift, *WORKER_COMMAND))
        for shift in ("-5m", "+5m")
    )
    installation.wait_until(lambda: len(installation.list_ready_processes()) == 2)
    yield installation, slow, fast
    installation.close()


def test_no_job_is_lost_or_dreamt_twice(
    skewed_installation: tuple[FaultInstallation, WorkerProcess, WorkerProcess],
) -> None:
    installation, _, _ = skewed_installation
    jobs = [installation.submit(number, None if number % 4 else installation.long_recipe) for number in range(300, 308)]
    installation.wait_until(lambda: all(installation.is_ended(job) for job in jobs))
    assert [len(installation.events_of(job, Started)) for job in jobs] == [1] * len(jobs)
    installation.verify_outcomes()


def test_a_dead_worker_s_job_goes_to_the_other_within_half_a_minute(
    skewed_installation: tuple[FaultInstallation, WorkerProcess, WorkerProcess],
) -> None:
    """With kombu's own timestamps the job would be redelivered five minutes late, or at once while it runs."""
    installation, slow, fast = skewed_installation
    job = installation.submit(310, installation.long_recipe)
    installation.wait_until(lambda: installation.is_started(job))
    started = installation.events_of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    (slow if pid in [process.pid for process in slow.process_tree] else fast).kill()
    installation.wait_until(lambda: len(installation.events_of(job, Started)) == 2, timeout=30)
    installation.wait_until(lambda: installation.is_ended(job))
    assert len(installation.events_of(job, Completed)) == 1
    installation.verify_outcomes()
