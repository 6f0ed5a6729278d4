"""How fast dreams come, and what goes wrong."""

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

PHOTO = "a" * 64


@pytest.fixture
def gauge() -> Statistics:
    return Statistics()


def tell(gauge: Statistics, second: float, event: Event) -> None:
    gauge.apply(RecordedEvent(f"{round(1000 * second)}-0", event))


def completed(job: str, seconds: float) -> Completed:
    stages = {Stage.DREAM: seconds}
    return Completed(job_id=job, photo_id=PHOTO, recipe="r", title="t", photo="p", dream="d", stages=stages)


def worker(state: str, since: float) -> Heartbeat:
    return Heartbeat(part=Component.WORKER, name="w", state=state, since=since)


def test_a_worker_that_is_ready_while_jobs_wait_does_not_consume(gauge: Statistics) -> None:
    idle = worker("ready", since=0)
    assert gauge.is_consuming(idle, now=1000)
    tell(gauge, 1000, Queued(job_id="x", photo_id=PHOTO))
    assert gauge.is_consuming(idle, now=1000 + IDLE_GRACE_SECONDS / 2)
    assert not gauge.is_consuming(idle, now=1001 + IDLE_GRACE_SECONDS)
    assert gauge.is_consuming(worker("dreaming", since=0), now=1001 + IDLE_GRACE_SECONDS)
    assert gauge.is_consuming(worker("ready", since=1000), now=1000 + IDLE_GRACE_SECONDS)
    tell(gauge, 1020, Started(job_id="x", photo_id=PHOTO, title="t", worker="w"))
    assert gauge.is_consuming(idle, now=1030)
    assert gauge.compute_oldest_wait(1030) == 0


def test_a_job_that_was_called_off_waits_no_longer(gauge: Statistics) -> None:
    tell(gauge, 1, Queued(job_id="x", photo_id=PHOTO))
    assert gauge.compute_oldest_wait(5) == 4
    tell(gauge, 2, Cancelled(job_id="x", photo_id=PHOTO))
    assert gauge.compute_oldest_wait(5) == 0


def test_stages_are_told_by_median_and_95th_percentile(gauge: Statistics) -> None:
    for number in range(1, 101):
        tell(gauge, number, completed(f"job-{number}", float(number)))
    assert gauge.summarize_stages() == [(Stage.DREAM, 50.5, 96.0)]
    assert gauge.compute_dreams_per_minute(100, window_seconds=60) == 60


def test_a_fault_is_listed_until_it_is_put_right(gauge: Statistics) -> None:
    tell(gauge, 1, Failed(job_id="x", photo_id=PHOTO, reason="It cannot be dreamt."))
    tell(gauge, 2, FileRejected(file="IMG_1.HEIC", reason="is damaged"))
    assert [(fault.job_id, fault.file) for fault in gauge.list_errors()] == [("", "IMG_1.HEIC"), ("x", "")]
    tell(gauge, 3, completed("x", 1.0))
    assert [fault.file for fault in gauge.list_errors()] == ["IMG_1.HEIC"]


def test_a_worker_of_one_lane_is_not_blamed_for_what_waits_in_the_other(gauge: Statistics) -> None:
    """Seen failing without the lanes of presence."""
    tell(gauge, 999, Accepted(job_id="x", photo_id=PHOTO, title="t", lane="batch"))
    tell(gauge, 1000, Queued(job_id="x", photo_id=PHOTO))
    live, batch = (worker("ready", since=0).model_copy(update={"lanes": (lane,)}) for lane in ("live", "batch"))
    assert gauge.is_consuming(live, now=1001 + IDLE_GRACE_SECONDS)
    assert not gauge.is_consuming(batch, now=1001 + IDLE_GRACE_SECONDS)
    assert not gauge.is_consuming(worker("ready", since=0), now=1001 + IDLE_GRACE_SECONDS)
