"""Clocks of machines may differ by minutes: no deadline depends on them."""

import shutil
from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed, Started
from shared.timing import DEFAULT_TIMING
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.skip import skip_or_fail
from tests.worker_process import worker_command

pytestmark = pytest.mark.slow

#: Seconds in which another worker starts a dead worker's job: a lease, the next sweep, and more on a busy machine.
TAKEOVER_TIMEOUT_SECONDS = 120


@pytest.fixture(scope="module")
def skewed_installation(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FaultInstallation, WorkerProcess, WorkerProcess]]:
    """An installation with workers whose clocks are five minutes slow and five minutes fast; all times are real."""
    if shutil.which("faketime") is None:
        skip_or_fail("faketime is not installed (Debian's package faketime)")
    installation = FaultInstallation(tmp_path_factory.mktemp("skewed"))
    command = worker_command(timing=DEFAULT_TIMING)
    slow, fast = (
        installation.start_worker(wait=False, command=("faketime", "--exclude-monotonic", "-f", shift, *command))
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
    for kind in (Started, Completed):
        assert [len(installation.events_of(job, kind)) for job in jobs] == [1] * len(jobs)
    installation.verify_outcomes()


def test_a_dead_worker_s_job_goes_to_the_other_after_a_lease(
    skewed_installation: tuple[FaultInstallation, WorkerProcess, WorkerProcess],
) -> None:
    """With kombu's own timestamps the job would be redelivered five minutes late, or at once while it runs."""
    installation, slow, fast = skewed_installation
    job = installation.start_held_job(310)
    started = installation.events_of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    (slow if pid in [process.pid for process in slow.process_tree] else fast).kill()
    seconds = installation.wait_until(lambda: len(installation.events_of(job, Started)) == 2)
    assert seconds < TAKEOVER_TIMEOUT_SECONDS
    installation.release_dreams()
    installation.wait_until(lambda: installation.is_ended(job))
    assert len(installation.events_of(job, Completed)) == 1
    installation.verify_outcomes()
