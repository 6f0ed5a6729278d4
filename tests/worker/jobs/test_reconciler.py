"""The reconciler: a job that has neither a claim nor a message is queued again, and no other is."""

from dataclasses import replace

import pytest
import redis

from shared.errors import ArtDreamError
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import create_celery_app, iter_queued_job_ids, queue_keys, submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import load_recipe
from shared.redis_keys import LAST_SWEEP, LEASES, RECONCILER_LOCK_KEY
from shared.settings import Settings
from tests.metrics import count_faults
from tests.waiting import wait_until
from tests.worker_process import SHORT_TIMING
from worker.jobs.reconciler import FULL_SCAN_EVERY_PASSES, Reconciler

#: With these times a job may lack a claim and a message for no moment.
TIMING = replace(SHORT_TIMING, in_transit_seconds=0.0)

JOBS = [Job(photo_id=f"{number:064x}", recipe=load_recipe("animals"), lane=Lane.BATCH) for number in range(3)]


@pytest.fixture
def table(settings: Settings, client: redis.Redis) -> JobTable:
    """Return a table in which JOBS are queued."""
    table = JobTable(client)
    with create_celery_app(settings) as app:
        for job in JOBS:
            submit(app, table, job)
    return table


def lose_message(client: redis.Redis, job: Job) -> None:
    """Remove the message of a job, as a worker does that is killed before it claims the job."""
    key = queue_keys(Lane.BATCH)[-1]
    [message] = [message for message in client.lrange(key, 0, -1) if job.id in message]
    client.lrem(key, 1, str(message))


def list_queued(client: redis.Redis) -> list[str]:
    return sorted(iter_queued_job_ids(client))


def reconcile_repeatedly(reconciler: Reconciler) -> None:
    """Make as many passes as it takes to see that fewer messages wait than jobs, which are missing, and stay away."""
    for _ in range(3):
        reconciler.reconcile()


def test_a_job_whose_message_was_lost_is_queued_again_and_counted(
    settings: Settings, client: redis.Redis, table: JobTable
) -> None:
    lose_message(client, JOBS[1])
    faults = count_faults("message lost")
    reconciler = Reconciler(client, settings, TIMING)
    reconcile_repeatedly(reconciler)
    for _ in range(2):
        reconciler.reconcile()
        assert list_queued(client) == sorted(job.id for job in JOBS)
        assert table.get_states([job.id for job in JOBS]) == [State.QUEUED] * 3
        assert count_faults("message lost") == faults + 1


def test_a_job_that_its_producer_accepted_and_never_queued_is_queued(settings: Settings, client: redis.Redis) -> None:
    JobTable(client).accept(JOBS[0])
    reconcile_repeatedly(Reconciler(client, settings, TIMING))
    assert list_queued(client) == [JOBS[0].id]


def test_a_job_that_may_be_in_transit_is_left_alone(settings: Settings, client: redis.Redis, table: JobTable) -> None:
    lose_message(client, JOBS[1])
    reconcile_repeatedly(Reconciler(client, settings, replace(TIMING, in_transit_seconds=600.0)))
    assert list_queued(client) == sorted([JOBS[0].id, JOBS[2].id])


def test_a_silent_worker_s_job_is_queued_again_and_counted(
    settings: Settings, client: redis.Redis, table: JobTable
) -> None:
    reconciler = Reconciler(client, settings, replace(TIMING, outage_after_seconds=600.0))
    reconciler.reconcile()  # the first sweep gives workers the time to renew
    client.hdel(LAST_SWEEP, "patience")
    for job in JOBS[:2]:
        lose_message(client, job)
        assert table.claim(job, "w-1")
    client.zadd(LEASES, {JOBS[0].id: 1})
    faults = count_faults("worker died")
    reconciler.reconcile()
    assert table.get_states([job.id for job in JOBS]) == [State.QUEUED, State.STARTED, State.QUEUED]
    assert list_queued(client) == sorted([JOBS[0].id, JOBS[2].id])
    assert count_faults("worker died") == faults + 1


def test_the_message_of_a_cancelled_job_hides_a_lost_one_for_a_limited_time(
    settings: Settings, client: redis.Redis, table: JobTable
) -> None:
    """As there are as many messages as jobs, the messages themselves are read in a few passes only."""
    table.cancel(JOBS[0].id)
    lose_message(client, JOBS[1])
    reconciler = Reconciler(client, settings, TIMING)
    for _ in range(FULL_SCAN_EVERY_PASSES - 1):
        reconciler.reconcile()
    assert JOBS[1].id not in list_queued(client)
    for _ in range(2):  # one that is missing, and still is
        reconciler.reconcile()
    assert JOBS[1].id in list_queued(client)


def test_a_job_that_was_handed_back_a_moment_ago_is_not_taken_for_one_without_a_message(
    settings: Settings, client: redis.Redis, table: JobTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message is on its way back to the lane; with a second one, two workers would meet at the job."""
    lose_message(client, JOBS[1])
    reconciler = Reconciler(client, settings, replace(TIMING, in_transit_seconds=0.2))
    list_unclaimed = reconciler._table.list_unclaimed

    def list_and_hand_back(min_age_seconds: float) -> list[str]:
        unclaimed = list_unclaimed(min_age_seconds)
        if JOBS[1].id in reconciler._missing and (claim := table.claim(JOBS[1], "w-1")):
            handed_back.append(table.release(claim, count=False))
        return unclaimed

    handed_back: list[bool] = []
    monkeypatch.setattr(reconciler._table, "list_unclaimed", list_and_hand_back)

    def is_handed_back() -> bool:
        reconciler.reconcile()
        return handed_back == [True]

    wait_until(is_handed_back, "a pass meets the job again")
    assert list_queued(client) == sorted([JOBS[0].id, JOBS[2].id])


class CountingReconciler(Reconciler):
    """Counts its passes, of which the first ones raise errors."""

    def __init__(self, *arguments: object, errors: tuple[Exception, ...] = ()) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.pass_count, self._errors = 0, [*errors]

    def reconcile(self) -> None:
        self.pass_count += 1
        if self._errors:
            raise self._errors.pop(0)
        super().reconcile()


def test_passes_go_on_after_faults_until_it_is_stopped(
    settings: Settings, client: redis.Redis, table: JobTable
) -> None:
    errors = (redis.ConnectionError("away"), ArtDreamError("not now"), RuntimeError("a fault"))
    reconciler = CountingReconciler(client, settings, TIMING, errors=errors)
    lose_message(client, JOBS[1])
    reconciler.start()
    wait_until(lambda: JOBS[1].id in list_queued(client), "queued again")
    reconciler.stop()
    reconciler.join()
    assert reconciler.pass_count > len(errors)


def test_one_worker_makes_a_pass_at_a_time(settings: Settings, client: redis.Redis) -> None:
    client.set(RECONCILER_LOCK_KEY, "another worker")
    reconciler = CountingReconciler(client, settings, TIMING)
    tries_before = count_set_commands(client)
    reconciler.start()
    wait_until(lambda: count_set_commands(client) > tries_before + 2, "it tried")
    assert reconciler.pass_count == 0
    client.delete(RECONCILER_LOCK_KEY)
    wait_until(lambda: reconciler.pass_count > 1, "it makes passes, as its own right to them expires, too")
    reconciler.stop()
    reconciler.join()


def count_set_commands(client: redis.Redis) -> int:
    return client.info("commandstats").get("cmdstat_set", {"calls": 0})["calls"]
