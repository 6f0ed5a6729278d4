"""The display's statistics: throughput, stage times, idle workers and errors."""

import threading

import pytest

from display.state.statistics import IDLE_GRACE_SECONDS, Statistics
from shared.jobs.events import (
    Accepted,
    Cancelled,
    Completed,
    Event,
    Failed,
    FileRejected,
    Queued,
    RecordedEvent,
    Stage,
    Started,
)
from shared.monitoring.heartbeat import Component, Heartbeat

PHOTO_ID = "a" * 64


@pytest.fixture
def statistics() -> Statistics:
    return Statistics()


def apply_event(statistics: Statistics, second: float, event: Event) -> None:
    statistics.apply(RecordedEvent(f"{round(1000 * second)}-0", event))


def make_completed(job: str, seconds: float) -> Completed:
    stages = {Stage.DREAM: seconds}
    return Completed(job_id=job, photo_id=PHOTO_ID, recipe="r", title="t", photo="p", dream="d", stages=stages)


def make_worker(state: str, since: float) -> Heartbeat:
    return Heartbeat(part=Component.WORKER, name="w", state=state, since=since)


def test_a_worker_that_is_ready_while_jobs_wait_does_not_consume(statistics: Statistics) -> None:
    idle_worker = make_worker("ready", since=0)
    assert statistics.is_consuming(idle_worker, now=1000)
    apply_event(statistics, 1000, Queued(job_id="x", photo_id=PHOTO_ID))
    assert statistics.is_consuming(idle_worker, now=1000 + IDLE_GRACE_SECONDS / 2)
    assert not statistics.is_consuming(idle_worker, now=1001 + IDLE_GRACE_SECONDS)
    assert statistics.is_consuming(make_worker("dreaming", since=0), now=1001 + IDLE_GRACE_SECONDS)
    assert statistics.is_consuming(make_worker("ready", since=1000), now=1000 + IDLE_GRACE_SECONDS)
    apply_event(statistics, 1020, Started(job_id="x", photo_id=PHOTO_ID, title="t", worker="w"))
    assert statistics.is_consuming(idle_worker, now=1030)
    assert statistics.compute_oldest_wait(1030) == 0


def test_a_job_that_was_called_off_waits_no_longer(statistics: Statistics) -> None:
    apply_event(statistics, 1, Queued(job_id="x", photo_id=PHOTO_ID))
    assert statistics.compute_oldest_wait(5) == 4
    apply_event(statistics, 2, Cancelled(job_id="x", photo_id=PHOTO_ID))
    assert statistics.compute_oldest_wait(5) == 0


def test_stages_are_told_by_median_and_95th_percentile(statistics: Statistics) -> None:
    for number in range(1, 101):
        apply_event(statistics, number, make_completed(f"job-{number}", float(number)))
    assert statistics.summarize_stages() == [(Stage.DREAM, 50.5, 96.0)]
    assert statistics.compute_dreams_per_minute(100, window_seconds=60) == 60


def test_a_fault_is_listed_until_it_is_put_right(statistics: Statistics) -> None:
    apply_event(statistics, 1, Failed(job_id="x", photo_id=PHOTO_ID, reason="It cannot be dreamt."))
    apply_event(statistics, 2, FileRejected(file="IMG_1.HEIC", reason="is damaged"))
    assert [(error.job_id, error.file) for error in statistics.list_errors()] == [("", "IMG_1.HEIC"), ("x", "")]
    apply_event(statistics, 3, make_completed("x", 1.0))
    assert [error.file for error in statistics.list_errors()] == ["IMG_1.HEIC"]


def test_figures_are_read_while_events_change_them(statistics: Statistics) -> None:
    """Seen failing: the operator saw Streamlit's error instead, most easily while a batch was queued."""
    is_finished = threading.Event()

    def queue_and_complete_jobs() -> None:
        number = 0
        while not is_finished.is_set():
            number += 1
            apply_event(statistics, number, Queued(job_id=f"job-{number}", photo_id=PHOTO_ID))
            apply_event(statistics, number, make_completed(f"job-{number - 50}", 1.0))
            apply_event(statistics, number, Failed(job_id=f"job-{number - 20}", photo_id=PHOTO_ID, reason="It failed."))

    writer = threading.Thread(target=queue_and_complete_jobs)
    writer.start()
    try:
        for _ in range(2_000):
            statistics.compute_oldest_wait(0)
            statistics.compute_dreams_per_minute(0)
            statistics.summarize_stages()
            statistics.list_errors()
    finally:
        is_finished.set()
        writer.join()


def test_a_worker_of_one_lane_is_not_blamed_for_what_waits_in_the_other(statistics: Statistics) -> None:
    """Seen failing without the lanes in the heartbeat."""
    apply_event(statistics, 999, Accepted(job_id="x", photo_id=PHOTO_ID, title="t", lane="batch"))
    apply_event(statistics, 1000, Queued(job_id="x", photo_id=PHOTO_ID))
    live_worker, batch_worker = (
        make_worker("ready", since=0).model_copy(update={"lanes": (lane,)}) for lane in ("live", "batch")
    )
    assert statistics.is_consuming(live_worker, now=1001 + IDLE_GRACE_SECONDS)
    assert not statistics.is_consuming(batch_worker, now=1001 + IDLE_GRACE_SECONDS)
    assert not statistics.is_consuming(make_worker("ready", since=0), now=1001 + IDLE_GRACE_SECONDS)
