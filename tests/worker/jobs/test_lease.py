"""Leases: a claim holds as long as its job is dreamt, and its loss is noticed."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from redis.exceptions import NoPermissionError

from shared.broker.client import connect
from shared.jobs.events import EventReader, Progress
from shared.jobs.job import Job
from shared.jobs.table import Claim, JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import LEASES
from tests.servers import Valkey
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import ProcessorHarness
from tests.worker_process import SHORT_TIMING
from worker.jobs.lease import LeaseKeeper, LeaseLost

TIMING = replace(SHORT_TIMING, renew_interval_seconds=0.02)

JOB = Job(photo_id="ab" * 32, recipe=load_recipe("animals"))


def claim_job(table: JobTable) -> Claim:
    table.accept(JOB)
    claim = table.claim(JOB, "w-1")
    assert claim
    return claim


@pytest.fixture
def table(client: redis.Redis) -> JobTable:
    return JobTable(client, timing=TIMING)


def expire_lease(client: redis.Redis) -> None:
    client.zadd(LEASES, {JOB.id: 1})


def is_leased(client: redis.Redis) -> bool:
    return (client.zscore(LEASES, JOB.id) or 0) > time.time()


def is_renewing() -> bool:
    return any(thread.name == "hold" for thread in threading.enumerate())


def test_a_claim_is_renewed_as_long_as_its_job_is_dreamt(client: redis.Redis, table: JobTable) -> None:
    with LeaseKeeper(table, claim_job(table)) as lease_keeper:
        for _ in range(2):
            expire_lease(client)
            wait_until(lambda: is_leased(client), "renewed")
        assert is_renewing()
    wait_until(lambda: not is_renewing(), "renewal has ended")
    assert not lease_keeper.is_lost


def test_a_job_that_is_called_off_is_noticed_and_renewed_no_more(client: redis.Redis, table: JobTable) -> None:
    with LeaseKeeper(table, claim_job(table)) as lease_keeper:
        table.cancel(JOB.id)
        wait_until(lambda: lease_keeper.is_lost, "noticed")
        wait_until(lambda: not is_renewing(), "renewal has ended")


def test_a_broker_that_is_away_takes_no_job_from_its_worker(tmp_path: Path) -> None:
    server = Valkey(data_dir=tmp_path / "broker")
    server.start()
    with connect(server.url) as client, connect(server.url) as client_of_keeper:
        table = JobTable(client_of_keeper, timing=TIMING)
        with LeaseKeeper(table, claim_job(table)) as lease_keeper:
            server.stop()
            with pytest.raises(redis.RedisError):
                lease_keeper.require_lease()
            server.start()
            expire_lease(client)
            wait_until(lambda: is_leased(client), "renewed")
        wait_until(lambda: not is_renewing(), "renewal has ended")
        assert not lease_keeper.is_lost
    server.stop()


def test_a_frame_is_announced_unless_the_job_is_lost(client: redis.Redis, table: JobTable) -> None:
    lease_keeper = LeaseKeeper(table, claim_job(table))
    lease_keeper.announce_frame("dreams/x/frames/00.jpg", 0.5, hold=False)
    assert not lease_keeper.is_lost
    [frame] = [recorded.event for recorded in EventReader(client).read() if isinstance(recorded.event, Progress)]
    assert (frame.job_id, frame.frame, frame.fraction) == (JOB.id, "dreams/x/frames/00.jpg", 0.5)
    table.cancel(JOB.id)
    lease_keeper.announce_frame("dreams/x/frames/01.jpg", 0.6, hold=False)
    assert lease_keeper.is_lost


def test_a_worker_that_requires_its_lease_has_it_anew_or_learns_that_it_is_lost(
    client: redis.Redis, table: JobTable
) -> None:
    lease_keeper = LeaseKeeper(table, claim_job(table))
    expire_lease(client)
    lease_keeper.require_lease()
    assert is_leased(client)
    table.cancel(JOB.id)
    with pytest.raises(LeaseLost):
        lease_keeper.require_lease()


def test_a_lease_is_renewed_again_after_any_error_of_the_broker(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: any error but a lost connection ended the renewal, and the lease expired amid the dream."""
    results = iter([NoPermissionError("forbidden for a moment")])
    renewed: list[bool] = []
    table = harness.table
    monkeypatch.setattr(table, "timing", SHORT_TIMING)
    renew = table.renew_lease

    def renew_lease(claim: object) -> bool:
        for error in results:
            raise error
        renewed.append(renew(claim))  # type: ignore[arg-type]
        return renewed[-1]

    monkeypatch.setattr(table, "renew_lease", renew_lease)
    claim = table.claim(harness.submit(1), "w-1")
    assert claim
    with LeaseKeeper(table, claim) as lease_keeper:
        wait_until(lambda: len(renewed) > 1, "the lease is renewed")
        assert not lease_keeper.is_lost
