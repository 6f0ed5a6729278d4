"""Clocks of machines differ by minutes, and nothing depends on them."""

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
    """An installation with a worker that is five minutes late and one that is five minutes early."""
    if shutil.which("faketime") is None:
        skip_or_fail("faketime is not installed (Debian's package faketime)")
    site = FaultInstallation(tmp_path_factory.mktemp("skewed"))
    late, early = (
        site.start_worker(wait=False, command=("faketime", "--exclude-monotonic", "-f", shift, *WORKER_COMMAND))
        for shift in ("-5m", "+5m")
    )
    site.wait_until(lambda: len(site.list_ready_processes()) == 2)
    yield site, late, early
    site.close()


def test_no_job_is_lost_or_dreamt_twice(
    skewed_installation: tuple[FaultInstallation, WorkerProcess, WorkerProcess],
) -> None:
    site, _, _ = skewed_installation
    jobs = [site.submit(number, None if number % 4 else site.long_recipe) for number in range(300, 308)]
    site.wait_until(lambda: all(site.is_ended(job) for job in jobs))
    assert [len(site.events_of(job, Started)) for job in jobs] == [1] * len(jobs)
    site.verify_outcomes()


def test_a_dead_worker_s_job_goes_to_the_other_within_half_a_minute(
    skewed_installation: tuple[FaultInstallation, WorkerProcess, WorkerProcess],
) -> None:
    """With kombu's own times that would be five minutes late, or at once while it runs."""
    site, late, early = skewed_installation
    job = site.submit(310, site.long_recipe)
    site.wait_until(lambda: site.is_started(job))
    started = site.events_of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    (late if pid in [process.pid for process in late.process_tree] else early).kill()
    site.wait_until(lambda: len(site.events_of(job, Started)) == 2, timeout=30)
    site.wait_until(lambda: site.is_ended(job))
    assert len(site.events_of(job, Completed)) == 1
    site.verify_outcomes()
