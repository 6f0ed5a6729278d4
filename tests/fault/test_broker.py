"""The broker is killed, stopped, paused, cut off or wiped while jobs run, and every job ends once."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from producer.outbox.submission import SubmissionClient
from shared.jobs.events import Completed
from shared.jobs.job import Job
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import FaultInstallation
from tests.waiting import wait_until
from tests.worker_process import SHORT_TIMING


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
    """Submit four jobs, the first of which is being dreamt until `release_dreams`."""
    first = installation.start_held_job(first_seed)
    return [first, *(installation.submit(number) for number in range(first_seed + 1, first_seed + 4))]


def wait_until_leases_expire() -> None:
    """Wait until every lease has expired that was granted or renewed before this call."""
    expired_at = time.time() + SHORT_TIMING.lease_seconds
    wait_until(lambda: time.time() > expired_at, "the leases expire")


@contextmanager
def until_noticed(installation: FaultInstallation) -> Iterator[None]:
    """At the end of the block, wait until the worker has a frame that it cannot announce."""

    def count_skipped() -> int:
        return len(re.findall("frame .* was skipped", installation.log.read_text()))

    count_before = count_skipped()
    yield
    wait_until(lambda: count_skipped() > count_before, "the worker notices")


def suspend_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    process = installation.find_broker_process()
    process.suspend()
    wait_until_leases_expire()
    process.resume()


def pause_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    installation.client.execute_command("CLIENT", "PAUSE", int(1200 * SHORT_TIMING.lease_seconds), "ALL")


def kill_broker(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    with until_noticed(installation):
        installation.broker.stop()
    installation.broker.start()


def silence_link(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    proxy.state = LinkState.SILENT
    wait_until_leases_expire()
    proxy.state = LinkState.HEALTHY


def leave_half_open(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    proxy.state = LinkState.HALF_OPEN


def cut_link(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    with until_noticed(installation):
        proxy.state = LinkState.CUT
    proxy.state = LinkState.HEALTHY


def make_replica(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    """As a failover does: for a while the broker only reads, and blocked clients are sent away."""
    with until_noticed(installation):
        installation.client.replicaof("127.0.0.1", 1)
        wait_until_leases_expire()
    installation.client.replicaof("NO", "ONE")


def fill_memory(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    with until_noticed(installation):
        installation.client.config_set("maxmemory", 1)
        wait_until_leases_expire()
    installation.client.config_set("maxmemory", 0)


def forbid_commands(installation: FaultInstallation, proxy: FaultyProxy) -> None:
    """As an operator does who takes permissions from the broker's user, and gives them back."""
    with until_noticed(installation):
        installation.client.execute_command("ACL", "SETUSER", "default", "-@all", "+acl", "+auth", "+ping")
        wait_until_leases_expire()
    installation.client.execute_command("ACL", "SETUSER", "default", "+@all")


Fault = Callable[[FaultInstallation, FaultyProxy], None]

FAULTS: list[Fault] = [
    kill_broker,
    pause_broker,
    suspend_broker,
    cut_link,
    silence_link,
    leave_half_open,
    make_replica,
    fill_memory,
    forbid_commands,
]

#: Takes as long as the clients' time limit for an answer.
SLOW_FAULTS = [leave_half_open]


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=pytest.mark.slow) if fault in SLOW_FAULTS else fault for fault in FAULTS]
)
def test_what_was_accepted_ends_once(proxied_installation: tuple[FaultInstallation, FaultyProxy], fault: Fault) -> None:
    """Replica and full memory were seen failing: the worker ended, with status 0."""
    installation, proxy = proxied_installation
    jobs = submit_jobs(installation, 100 + 10 * FAULTS.index(fault))
    fault(installation, proxy)
    installation.release_dreams()
    seconds = installation.wait_until(lambda: all(installation.is_ended(job) for job in jobs))
    proxy.state = LinkState.HEALTHY
    installation.verify_outcomes()
    print(f"{fault.__name__}: {len(jobs)} jobs, lost 0, twice 0, done {seconds:.1f} s after the fault")  # noqa: T201


def test_what_was_accepted_ends_once_where_the_broker_comes_back_empty(
    proxied_installation: tuple[FaultInstallation, FaultyProxy],
) -> None:
    """Seen failing without `resubmit_lost_jobs`: the jobs stayed lost."""
    installation, _ = proxied_installation
    with SubmissionClient(installation.settings) as submission:
        installation.start_held_job(199)
        for number in range(200, 206):
            job = installation.store_photo(number)
            installation.jobs[job.id] = job
            submission.submit(job, installation.store.get(f"photos/{job.photo_id}.jpg") or b"")
        unfinished = [installation.jobs[job_id] for job_id in submission.ledger.list_unfinished_job_ids()]
        assert len(unfinished) == 6
        installation.wipe_broker()
        installation.release_dreams()
        installation.wait_until(
            lambda: submission.resubmit_lost_jobs() > 0 or bool(submission.ledger.list_unfinished_job_ids())
        )
        installation.wait_until(
            lambda: not submission.resubmit_lost_jobs() and not submission.ledger.list_unfinished_job_ids()
        )
    for job in unfinished:
        installation.wait_until(lambda job=job: len(installation.events_of(job, Completed)) >= 1)  # type: ignore[misc]
