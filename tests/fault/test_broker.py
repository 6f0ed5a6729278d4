"""The broker is killed, stopped, paused, cut off or wiped in mid-work, and every job ends once."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from producer.outbox.submission import SubmissionClient
from shared.jobs.events import Completed, Progress
from shared.jobs.job import Job
from tests.fault.faulty_proxy import State, Wire
from tests.fault.installation import Site


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Wire]]:
    """An installation whose worker reaches its broker over a wire."""
    site = Site(tmp_path_factory.mktemp("wired"))
    wire = Wire(site.port)
    site.start_worker(through=wire.port)
    yield site, wire
    site.close()
    wire.close()


def evening(site: Site, first: int) -> list[Job]:
    """Submit some jobs, and wait until the first is in the middle of its dream."""
    jobs = [site.submit(first, site.long), *(site.submit(number) for number in range(first + 1, first + 4))]
    site.until(lambda: bool(site.of(jobs[0], Progress)))
    return jobs


def stop(site: Site, wire: Wire) -> None:
    process = psutil.Process(site.broker._process.pid)  # type: ignore[union-attr]
    process.suspend()
    time.sleep(12)  # longer than any claim holds
    process.resume()


def pause(site: Site, wire: Wire) -> None:
    site.client.execute_command("CLIENT", "PAUSE", 12_000, "ALL")


def kill(site: Site, wire: Wire) -> None:
    site.kill_broker()
    time.sleep(3)
    site.start_broker()


def silence(site: Site, wire: Wire) -> None:
    wire.state = State.SILENT
    time.sleep(12)
    wire.state = State.WHOLE


def half_open(site: Site, wire: Wire) -> None:
    wire.state = State.HALF_OPEN


def cut(site: Site, wire: Wire) -> None:
    wire.state = State.CUT
    time.sleep(3)
    wire.state = State.WHOLE


@pytest.mark.parametrize("fault", [kill, pause, stop, cut, silence, half_open])
def test_what_was_accepted_ends_once(wired: tuple[Site, Wire], fault: Callable[[Site, Wire], None]) -> None:
    site, wire = wired
    jobs = evening(site, 100 + 10 * [kill, pause, stop, cut, silence, half_open].index(fault))
    fault(site, wire)
    passed = site.until(lambda: all(site.ended(job) for job in jobs), patience=90)
    wire.state = State.WHOLE
    site.verify()
    print(f"{fault.__name__}: {len(jobs)} jobs, lost 0, twice 0, done {passed:.1f} s after the fault")  # noqa: T201


def test_what_was_accepted_ends_once_where_the_broker_comes_back_empty(wired: tuple[Site, Wire]) -> None:
    """Seen failing without `recall`: the jobs stayed lost."""
    site, _ = wired
    with SubmissionClient(site.settings) as intake:
        for number in range(200, 206):
            job = site.photo(number)
            site.jobs[job.id] = job
            intake.submit(job, site.store.get(f"photos/{job.photo_id}.jpg") or b"")
        taken = [site.jobs[job_id] for job_id in intake.ledger.list_unfinished_job_ids()]
        site.kill_broker()
        shutil.rmtree(site.folder / "broker")
        Path(site.folder / "broker").mkdir()
        site.start_broker()
        site.until(lambda: intake.resubmit_lost_jobs() > 0 or bool(intake.ledger.list_unfinished_job_ids()))
        site.until(lambda: not intake.resubmit_lost_jobs() and not intake.ledger.list_unfinished_job_ids())
    for job in taken:
        site.until(lambda job=job: len(site.of(job, Completed)) >= 1)  # type: ignore[misc]
