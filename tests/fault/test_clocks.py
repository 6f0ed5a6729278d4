"""Clocks of machines differ by minutes, and nothing depends on them."""

import shutil
import sys
from collections.abc import Iterator

import pytest

from shared.jobs.events import Completed, Started
from tests.fault.installation import Site, Worker
from tests.skip import missing

WORKER = (sys.executable, "-m", "artdream", "worker")


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Worker, Worker]]:
    """An installation with a worker that is five minutes late and one that is five minutes early."""
    if shutil.which("faketime") is None:
        missing("faketime is not installed (Debian's package faketime)")
    site = Site(tmp_path_factory.mktemp("skewed"))
    late, early = (
        site.start_worker(wait=False, command=("faketime", "--exclude-monotonic", "-f", shift, *WORKER))
        for shift in ("-5m", "+5m")
    )
    site.until(lambda: len(site.ready()) == 2)
    yield site, late, early
    site.close()


def test_no_job_is_lost_or_dreamt_twice(skewed: tuple[Site, Worker, Worker]) -> None:
    site, _, _ = skewed
    jobs = [site.submit(number, None if number % 4 else site.long) for number in range(300, 308)]
    site.until(lambda: all(site.ended(job) for job in jobs))
    assert [len(site.of(job, Started)) for job in jobs] == [1] * len(jobs)
    site.verify()


def test_a_dead_worker_s_job_goes_to_the_other_within_half_a_minute(skewed: tuple[Site, Worker, Worker]) -> None:
    """With kombu's own times that would be five minutes late, or at once while it runs."""
    site, late, early = skewed
    job = site.submit(310, site.long)
    site.until(lambda: site.started(job))
    started = site.of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    (late if pid in [process.pid for process in late.family] else early).kill()
    site.until(lambda: len(site.of(job, Started)) == 2, patience=30)
    site.until(lambda: site.ended(job))
    assert len(site.of(job, Completed)) == 1
    site.verify()
