"""A job that cannot be dreamt now is handed back, so often and no more; one that never can be fails at once."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from shared.jobs.events import EventReader, Failed
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued
from shared.jobs.state_machine import MAX_HAND_BACKS
from shared.storage.store import StoreError
from shared.timing import DEFAULT_TIMING
from tests.metrics import count_faults
from tests.worker.jobs.processor_harness import ProcessorHarness
from worker.dreamer import DreamResult, Frame, Pixels
from worker.jobs import processor
from worker.jobs.lease import Released
from worker.jobs.processor import JobProcessor

UNAVAILABLE = StoreError("references/klee/ could not be listed in the store: 503.")
FORBIDDEN = StoreError("references/klee/ could not be listed in the store: 403.", is_permanent=True)


class StorelessDreamer:
    """Raises an error of the store instead of dreaming the jobs of a lane, as an engine does that needs an object."""

    def __init__(self, harness: ProcessorHarness, error: StoreError, applies_to: Callable[[Pixels], bool]) -> None:
        self._dreamer, self._error, self._applies_to = harness.dreamer, error, applies_to
        self.warm_up = harness.dreamer.warm_up

    def dream(
        self, photo: Pixels, recipe: object, *, seed: int, on_frame: Callable[[Frame], None] | None = None, **_: object
    ) -> DreamResult:
        if self._applies_to(photo):
            raise self._error
        return self._dreamer.dream(photo, recipe, seed=seed, on_frame=on_frame)  # type: ignore[arg-type]

    def dream_batch(self, *_: object, **__: object) -> list[DreamResult]:
        raise self._error


def make_storeless(
    harness: ProcessorHarness, error: StoreError, applies_to: Callable[[Pixels], bool] = lambda _: True
) -> None:
    """Give the harness a dreamer that raises the error, and pauses that a test need not wait for."""
    timing = replace(DEFAULT_TIMING, in_transit_seconds=0.02)
    dreamer = StorelessDreamer(harness, error, applies_to)
    harness.processor = JobProcessor(harness.settings, "w-1", dreamer, timing=timing)  # type: ignore[arg-type]


def read_failures(harness: ProcessorHarness) -> list[tuple[str, str]]:
    """Return job id and reason of each failure."""
    events = [recorded.event for recorded in EventReader(harness.client).read(max_events=10_000)]
    return [(event.job_id, event.reason) for event in events if isinstance(event, Failed)]


def deliver_until_ended(harness: ProcessorHarness, job: Job) -> int:
    """Deliver the job as often as it is handed back; return how often that was."""
    for hand_backs in range(30):
        try:
            harness.processor.process(job.id)
        except StoreError:
            assert harness.read_states([job]) == [State.QUEUED]
        else:
            return hand_backs
    pytest.fail("it is handed back without end")


def test_an_outage_of_the_store_that_lasts_longer_than_a_dream_may_fails_no_job(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: the time limit struck while the store was waited for, and the job had "taken longer than 600 s"."""

    def raise_unavailable(_: str) -> bytes:
        raise UNAVAILABLE

    def exceed_time_limit(_: float) -> None:
        raise SoftTimeLimitExceeded

    job = harness.submit(1)
    monkeypatch.setattr(harness.processor._store, "get", raise_unavailable)
    monkeypatch.setattr(time, "sleep", exceed_time_limit)
    for _ in range(2 * MAX_HAND_BACKS):
        with pytest.raises(Released, match="the job waits for them"):
            harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.QUEUED]
    assert harness.table.count_attempts([job.id]) == [0]


def test_a_call_to_the_store_that_does_not_answer_in_time_is_not_the_job_s_fault(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: only time of calls that had failed before counted, and the job had "taken longer"."""

    def never_answer(_: str) -> bytes:
        raise SoftTimeLimitExceeded

    job = harness.submit(1)
    monkeypatch.setattr(harness.processor._store, "get", never_answer)
    harness.processor._retry_policy.timeout_seconds = 0  # of which the call took all
    with pytest.raises(Released, match="waiting for store or broker"):
        harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.QUEUED]


def test_a_job_that_misses_something_in_the_store_each_time_fails_in_the_end_with_the_store_s_words(
    harness: ProcessorHarness,
) -> None:
    """Seen failing: it was handed back forever, hundreds of times each second."""
    faults = count_faults("expected")
    make_storeless(harness, UNAVAILABLE)
    job = harness.submit(1)
    assert deliver_until_ended(harness, job) == MAX_HAND_BACKS
    assert read_failures(harness) == [(job.id, str(UNAVAILABLE))]
    assert count_faults("expected") == faults + 1


def test_each_time_that_a_job_is_handed_back_its_message_waits_longer(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storeless(harness, UNAVAILABLE)
    pauses: list[int] = []
    monkeypatch.setattr(harness.processor, "_pause", pauses.append)
    deliver_until_ended(harness, harness.submit(1))
    assert pauses == list(range(MAX_HAND_BACKS))


def test_a_message_waits_twice_as_long_each_time_but_not_so_long_that_it_seems_lost(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(processor, "time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    pauses = []
    for hand_backs in range(6):
        started_at = now
        harness.processor._pause(hand_backs)
        pauses.append(now - started_at)
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, DEFAULT_TIMING.in_transit_seconds / 2], abs=0.15)
    stopping = JobProcessor(harness.settings, "w-1", harness.dreamer, is_stopping=lambda: True)
    started_at = now
    stopping._pause(5)
    assert now == started_at


def test_batch_mates_that_are_handed_back_go_behind_what_waits(harness: ProcessorHarness) -> None:
    make_storeless(harness, UNAVAILABLE)
    jobs = [harness.submit(number) for number in range(6)]
    with pytest.raises(StoreError):
        harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.QUEUED] * 6
    assert harness.list_queued(Lane.BATCH) == [job.id for job in (*jobs[4:], *jobs[1:4])]


def test_a_job_that_the_store_forbids_fails_at_once(harness: ProcessorHarness) -> None:
    make_storeless(harness, FORBIDDEN)
    alone = harness.submit(0, lane=Lane.LIVE)
    harness.deliver(alone)
    together = [harness.submit(number) for number in range(1, 5)]
    harness.deliver(together[0])
    assert sorted(read_failures(harness)) == sorted((job.id, str(FORBIDDEN)) for job in (alone, *together))
    assert count_queued(harness.client, Lane.BATCH) == 0


def test_a_guest_s_job_that_misses_something_in_the_store_does_not_stop_the_batch(harness: ProcessorHarness) -> None:
    make_storeless(harness, UNAVAILABLE, lambda photo: photo.shape[0] == 200)
    guests: list[Job] = []
    harness.dreamer.during_first_ascent = lambda: guests.append(harness.submit(1, lane=Lane.LIVE, size=(320, 200)))
    batch = harness.submit(0)
    harness.deliver(batch)
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.QUEUED]
    assert count_queued(harness.client, Lane.LIVE) == 1


def test_a_job_whose_time_went_to_waiting_gets_it_again_but_not_without_end(
    harness: ProcessorHarness,
) -> None:
    """Seen failing: it failed, although it had had hardly any of its time."""

    def take_too_long() -> None:
        harness.processor._retry_policy.waited_seconds = harness.settings.time_limit_seconds / 2
        raise SoftTimeLimitExceeded

    faults = count_faults("time limit")
    job = harness.submit(1)
    for _ in range(MAX_HAND_BACKS):
        harness.dreamer.batch_sizes.clear()
        harness.dreamer.during_first_ascent = take_too_long
        with pytest.raises(Released):
            harness.processor.process(job.id)
    harness.dreamer.batch_sizes.clear()
    harness.processor.process(job.id)
    [(_, reason)] = read_failures(harness)
    assert reason == f"The dream took longer than {harness.settings.time_limit_seconds} s."
    assert count_faults("time limit") == faults + 1
