"""The broker is killed, stopped, paused, cut off or wiped while jobs run, and every job ends once."""

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
    """An installation whose worker connects to its broker through a proxy."""
    installation = FaultInstallation(tmp_path_factory.mktemp("wired"))
    proxy = FaultyProxy(installation.port)
    installation.start_worker(broker_port=proxy.port)
    yield installation, proxy
    installation.close()
    proxy.close()


def submit_jobs(installation: FaultInstallation, first_seed: int) -> list[Job]:
    """Submit four jobs and wait until the first, a long one, has made progress."""
    jobs = [
        installation.submit(first_seed, installation.long_recipe),
        *(installation.submit(number) for number in range(first_seed + 1, first_seed + 4)),
    ]
    installation.wait_until(lambda: bool(installation.events_of(jobs[0], Progress)))
    return jobs


def suspend_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    process = psutil.Process(installation.broker._process.pid)  # type: ignore[union-attr]
    process.suspend()
    time.sleep(12)  # longer than a lease
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
    installation, proxy = proxied_installation
    jobs = submit_jobs(
        installation,
        100 + 10 * [kill_broker, pause_broker, suspend_broker, cut_link, silence_link, leave_half_open].index(fault),
    )
    fault(installation, proxy)
    seconds = installation.wait_until(lambda: all(installation.is_ended(job) for job in jobs), timeout=90)
    proxy.state = LinkState.HEALTHY
    installation.verify_outcomes()
    print(f"{fault.__name__}: {len(jobs)} jobs, lost 0, twice 0, done {seconds:.1f} s after the fault")  # noqa: T201


def test_what_was_accepted_ends_once_where_the_broker_comes_back_empty(
    proxied_installation: tuple[FaultInstallation, FaultyProxy],
) -> None:
    """Seen failing without `resubmit_lost_jobs`: the jobs stayed lost."""
    installation, _ = proxied_installation
    with SubmissionClient(installation.settings) as submission:
        for number in range(200, 206):
            job = installation.store_photo(number)
            installation.jobs[job.id] = job
            submission.submit(job, installation.store.get(f"photos/{job.photo_id}.jpg") or b"")
        unfinished = [installation.jobs[job_id] for job_id in submission.ledger.list_unfinished_job_ids()]
        installation.kill_broker()
        shutil.rmtree(installation.folder / "broker")
        Path(installation.folder / "broker").mkdir()
        installation.start_broker()
        installation.wait_until(
            lambda: submission.resubmit_lost_jobs() > 0 or bool(submission.ledger.list_unfinished_job_ids())
        )
        installation.wait_until(
            lambda: not submission.resubmit_lost_jobs() and not submission.ledger.list_unfinished_job_ids()
        )
    for job in unfinished:
        installation.wait_until(lambda job=job: len(installation.events_of(job, Completed)) >= 1)  # type: ignore[misc]
