"""The reconciler puts back what has neither message nor claim, and nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued, queue_keys
from shared.redis_keys import LEASES, UNCLAIMED
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import ProcessorHarness
from tests.worker_process import SHORT_TIMING
from worker.jobs.reconciler import Reconciler

TIMING = replace(SHORT_TIMING, in_transit_seconds=0.3)


@pytest.fixture
def reconciler(harness: ProcessorHarness) -> Iterator[Reconciler]:
    reconciler = Reconciler(harness.client, harness.settings, TIMING)
    yield reconciler
    reconciler._app.close()


def submit_old_job(harness: ProcessorHarness, seed: int = 1) -> Job:
    """Submit a job, as if it had been queued long ago."""
    job = harness.submit(seed)
    harness.client.zadd(UNCLAIMED, {job.id: 1})
    harness.client.hset(f"artdream:job:{job.id}", "at", 1)
    return job


def lose_messages(harness: ProcessorHarness) -> None:
    harness.client.delete(*queue_keys(Lane.BATCH))


def reconcile_until(reconciler: Reconciler, condition: Callable[[], bool]) -> None:
    def reconcile_and_check() -> bool:
        reconciler.reconcile()
        return condition()

    wait_until(reconcile_and_check, "reconciled")


def test_a_message_that_was_popped_a_moment_ago_is_not_lost(
    harness: ProcessorHarness, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: a job that had waited for long got a second message, and a warning."""
    monkeypatch.setattr(reconciler, "_in_transit_seconds", 600.0)
    job = submit_old_job(harness)
    lose_messages(harness)
    for _ in range(3):
        reconciler.reconcile()
    assert count_queued(harness.client, Lane.BATCH) == 0
    assert harness.table.claim(job, "w-1")
    for _ in range(3):
        reconciler.reconcile()
    assert "message lost" not in caplog.text


def test_a_job_whose_message_is_lost_is_put_back_once(harness: ProcessorHarness, reconciler: Reconciler) -> None:
    job = submit_old_job(harness)
    lose_messages(harness)
    reconcile_until(reconciler, lambda: count_queued(harness.client, Lane.BATCH) == 1)
    for _ in range(3):
        reconciler.reconcile()
    assert harness.list_queued(Lane.BATCH) == [job.id]


@pytest.mark.parametrize("end", ["cancel", "claim"])
def test_a_job_that_is_cancelled_or_claimed_during_a_pass_stays_so(
    harness: ProcessorHarness,
    reconciler: Reconciler,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    end: str,
) -> None:
    """Seen failing: a cancelled job was dreamt all the same, and a claimed one was said to have lost its message."""
    job = submit_old_job(harness)
    lose_messages(harness)
    requeue, ended = reconciler._table.requeue, []

    def end_and_requeue(*arguments: object, **options: object) -> object:
        ended.append(harness.table.cancel(job.id) if end == "cancel" else harness.table.claim(job, "w-1"))
        return requeue(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reconciler._table, "requeue", end_and_requeue)
    reconcile_until(reconciler, lambda: bool(ended))
    assert harness.read_states([job]) == [State.CANCELLED if end == "cancel" else State.STARTED]
    assert count_queued(harness.client, Lane.BATCH) == 0
    assert "put back" not in caplog.text


def test_a_job_that_is_cancelled_as_its_dead_worker_is_noticed_stays_so(
    harness: ProcessorHarness, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = harness.submit(1)
    reconciler.reconcile()  # the first sweep finds nothing
    assert harness.table.claim(job, "w-1")
    lose_messages(harness)
    requeue = reconciler._table.requeue

    def requeue_and_cancel(*arguments: object, **options: object) -> object:
        requeued = requeue(*arguments, **options)  # type: ignore[arg-type]
        if requeued:
            harness.table.cancel(job.id)
        return requeued

    monkeypatch.setattr(reconciler._table, "requeue", requeue_and_cancel)
    harness.client.zadd(LEASES, {job.id: 1})
    reconcile_until(reconciler, lambda: harness.read_states([job]) == [State.CANCELLED])
    assert count_queued(harness.client, Lane.BATCH) == 0
