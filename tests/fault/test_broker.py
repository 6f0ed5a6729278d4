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
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import FaultInstallation


@pytest.fixture(scope="module")
def proxied_installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FaultInstallation, FaultyProxy]]:
    """An installation whose worker reaches its broker over a wire."""
    site = FaultInstallation(tmp_path_factory.mktemp("wired"))
    wire = FaultyProxy(site.port)
    site.start_worker(broker_port=wire.port)
    yield site, wire
    site.close()
    wire.close()


def submit_jobs(installation: FaultInstallation, first_seed: int) -> list[Job]:
    """Submit some jobs, and wait until the first is in the middle of its dream."""
    jobs = [
        installation.submit(first_seed, installation.long_recipe),
        *(installation.submit(number) for number in range(first_seed + 1, first_seed + 4)),
    ]
    installation.wait_until(lambda: bool(installation.events_of(jobs[0], Progress)))
    return jobs


def suspend_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    process = psutil.Process(installation.broker._process.pid)  # type: ignore[union-attr]
    process.suspend()
    time.sleep(12)  # longer than any claim holds
    process.resume()


def pause_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    installation.client.execute_command("CLIENT", "PAUSE", 12_000, "ALL")


def kill_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    installation.kill_broker()
    time.sleep(3)
    installation.start_broker()


def silence_link(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    proxy.state = LinkState.SILENT
    time.sleep(12)
    proxy.state = LinkState.HEALTHY


def leave_half_open(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    proxy.state = LinkState.HALF_OPEN


def cut_link(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    proxy.state = LinkState.CUT
    time.sleep(3)
    proxy.state = LinkState.HEALTHY


@pytest.mark.parametrize("fault", [kill_broker, pause_broker, suspend_broker, cut_link, silence_link, leave_half_open])
def test_what_was_accepted_ends_once(
    proxied_installation: tuple[FaultInstallation, FaultyProxy], fault: Callable[[FaultInstallation, FaultyProxy], None]
) -> None:
    site, wire = proxied_installation
    jobs = submit_jobs(
        site,
        100 + 10 * [kill_broker, pause_broker, suspend_broker, cut_link, silence_link, leave_half_open].index(fault),
    )
    fault(site, wire)
    passed = site.wait_until(lambda: all(site.is_ended(job) for job in jobs), timeout=90)
    wire.state = LinkState.HEALTHY
    site.verify_outcomes()
    print(f"{fault.__name__}: {len(jobs)} jobs, lost 0, twice 0, done {passed:.1f} s after the fault")  # noqa: T201


def test_what_was_accepted_ends_once_where_the_broker_comes_back_empty(
    proxied_installation: tuple[FaultInstallation, FaultyProxy],
) -> None:
    """Seen failing without `recall`: the jobs stayed lost."""
    site, _ = proxied_installation
    with SubmissionClient(site.settings) as intake:
        for number in range(200, 206):
            job = site.store_photo(number)
            site.jobs[job.id] = job
            intake.submit(job, site.store.get(f"photos/{job.photo_id}.jpg") or b"")
        taken = [site.jobs[job_id] for job_id in intake.ledger.list_unfinished_job_ids()]
        site.kill_broker()
        shutil.rmtree(site.folder / "broker")
        Path(site.folder / "broker").mkdir()
        site.start_broker()
        site.wait_until(lambda: intake.resubmit_lost_jobs() > 0 or bool(intake.ledger.list_unfinished_job_ids()))
        site.wait_until(lambda: not intake.resubmit_lost_jobs() and not intake.ledger.list_unfinished_job_ids())
    for job in taken:
        site.wait_until(lambda job=job: len(site.events_of(job, Completed)) >= 1)  # type: ignore[misc]
