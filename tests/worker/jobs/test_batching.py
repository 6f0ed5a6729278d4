"""A worker renders jobs of the batch lane together, and each is completed, failed or cancelled on its own."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded

from shared.jobs.events import Completed, EventReader, Failed, Progress
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued
from shared.jobs.table import Claim
from shared.storage.object_names import dream_name, photo_name, working_photo_name
from shared.storage.sidecar import read_sidecar
from shared.storage.store import StoreError
from tests.metrics import count_faults
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import HELD_RECIPE, LARGE_RECIPE, ProcessorHarness
from worker.dreamer import DreamResult
from worker.jobs.lease import Released
from worker.jobs.processor import JobProcessor


def test_what_waits_is_dreamt_with_the_first_in_one_ascent_and_each_is_completed_for_itself(
    harness: ProcessorHarness,
) -> None:
    jobs = [harness.submit(number) for number in range(6)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [4]
    assert harness.read_states(jobs) == [State.COMPLETED] * 4 + [State.QUEUED] * 2
    assert count_queued(harness.client, Lane.BATCH) == 2
    assert len({harness.store.get(dream_name(job.id)) for job in jobs[:4]}) == 4
    events = [recorded.event for recorded in EventReader(harness.client).read(max_events=1000)]
    for job in jobs[:4]:
        sidecar = read_sidecar(harness.store, job.id)
        assert sidecar
        assert sidecar.photo_id == job.photo_id
        assert [type(event) for event in events if isinstance(event, Completed) and event.job_id == job.id] == [
            Completed
        ]
        assert any(isinstance(event, Progress) and job.id in event.frame for event in events)


def test_a_batch_job_that_is_alone_does_not_wait_for_batch_mates(harness: ProcessorHarness) -> None:
    job = harness.submit(0)
    harness.deliver(job)
    assert harness.dreamer.batch_sizes == [1]
    assert harness.read_states([job]) == [State.COMPLETED]


def test_live_jobs_and_other_recipes_are_no_batch_mates(harness: ProcessorHarness) -> None:
    first = harness.submit(0)
    guest = harness.submit(1, lane=Lane.LIVE)
    other_recipe = harness.submit(2, HELD_RECIPE)
    same_recipe = harness.submit(3)
    harness.deliver(first)
    assert harness.dreamer.batch_sizes == [2, 1]
    assert harness.read_states([first, same_recipe, guest]) == [State.COMPLETED] * 3
    assert harness.read_states([other_recipe]) == [State.QUEUED]


def test_photos_of_another_shape_have_an_ascent_of_their_own(harness: ProcessorHarness) -> None:
    jobs = [harness.submit(number, size=(320, 240) if number % 2 else (240, 320)) for number in range(4)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2, 2]
    assert harness.read_states(jobs) == [State.COMPLETED] * 4


def test_three_are_dreamt_as_two_and_one_so_that_few_numbers_are_compiled(harness: ProcessorHarness) -> None:
    jobs = [harness.submit(number) for number in range(3)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2, 1]
    assert harness.read_states(jobs) == [State.COMPLETED] * 3


def test_a_photo_that_is_gone_fails_alone(harness: ProcessorHarness) -> None:
    jobs = [harness.submit(number) for number in range(3)]
    harness.store.delete(photo_name(jobs[1].photo_id))
    harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.COMPLETED, State.FAILED, State.COMPLETED]
    failed = [
        recorded.event
        for recorded in EventReader(harness.client).read(max_events=1000)
        if isinstance(recorded.event, Failed)
    ]
    assert [event.job_id for event in failed] == [jobs[1].id]


def submit_with_working_photos(harness: ProcessorHarness, count: int) -> list[Job]:
    """Submit jobs whose dreams are larger than their working photos."""
    jobs = [harness.submit(number, LARGE_RECIPE, size=(256, 192)) for number in range(count)]
    for job in jobs:
        harness.store.put(working_photo_name(job.photo_id), harness.store.get(photo_name(job.photo_id)) or b"")
    return jobs


def test_a_dream_that_is_deleted_before_its_photo_is_needed_in_full_ends_alone(harness: ProcessorHarness) -> None:
    """Seen failing: all jobs ended as cancelled, and each of the others lost one of its attempts."""
    jobs = submit_with_working_photos(harness, 4)

    def delete() -> None:
        harness.table.delete(jobs[1].id, jobs[1].photo_id)
        harness.store.delete(photo_name(jobs[1].photo_id))

    harness.dreamer.during_first_ascent = delete
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [4]
    assert harness.read_states(jobs) == [State.COMPLETED, State.DELETED, State.COMPLETED, State.COMPLETED]
    assert harness.store.get(dream_name(jobs[1].id)) is None


@pytest.mark.parametrize("fault", ["damaged", "forbidden"])
def test_a_photo_that_cannot_be_read_in_full_fails_alone(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    jobs = submit_with_working_photos(harness, 2)
    unreadable = photo_name(jobs[1].photo_id)
    get = harness.processor._store.get

    def get_unless_forbidden(name: str) -> bytes | None:
        if name == unreadable:
            raise StoreError(f"{name} could not be read from the store: 403.", is_permanent=True)
        return get(name)

    if fault == "damaged":
        harness.store.put(unreadable, b"no photo")
    else:
        monkeypatch.setattr(harness.processor._store, "get", get_unless_forbidden)
    faults = count_faults("expected")
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2]
    assert harness.read_states(jobs) == [State.COMPLETED, State.FAILED]
    assert count_faults("expected") == faults + 1


def test_a_job_that_is_called_off_meanwhile_is_not_published_and_the_others_are(harness: ProcessorHarness) -> None:
    jobs = [harness.submit(number) for number in range(4)]
    harness.dreamer.during_first_ascent = lambda: harness.table.cancel(jobs[2].id)
    harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.COMPLETED, State.COMPLETED, State.CANCELLED, State.COMPLETED]
    assert harness.store.get(dream_name(jobs[2].id)) is None


def test_a_batch_whose_jobs_are_all_called_off_is_broken_off(harness: ProcessorHarness) -> None:
    """Its dreams would never end."""
    jobs = [harness.submit(number, HELD_RECIPE) for number in range(2)]
    harness.dreamer.during_first_ascent = lambda: [harness.table.cancel(job.id) for job in jobs]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2]
    assert harness.read_states(jobs) == [State.CANCELLED] * 2


def test_what_cannot_be_dreamt_together_is_dreamt_alone(harness: ProcessorHarness) -> None:
    def run_out() -> None:
        raise MemoryError

    jobs = [harness.submit(number) for number in range(4)]
    harness.dreamer.during_first_ascent = run_out
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [4, 1, 1, 1, 1]
    assert harness.read_states(jobs) == [State.COMPLETED] * 4


def take_too_long() -> NoReturn:
    raise SoftTimeLimitExceeded


def test_jobs_that_take_too_long_together_have_a_try_alone_before_they_fail(harness: ProcessorHarness) -> None:
    """Seen failing: all of them failed, each with the time that they had taken together."""
    jobs = [harness.submit(number) for number in range(3)]
    harness.dreamer.dream_batch = lambda *_, **__: take_too_long()  # type: ignore[method-assign]
    with pytest.raises(Released, match="dreamt alone"):  # Celery then requeues the first job's message
        harness.deliver(jobs[0])
    assert harness.list_queued(Lane.BATCH) == [jobs[1].id, jobs[2].id]
    assert harness.table.count_attempts([job.id for job in jobs]) == [1, 1, 0]
    harness.processor.process(jobs[0].id)
    harness.dreamer.dream = lambda *_, **__: take_too_long()  # type: ignore[method-assign]
    harness.deliver(jobs[1])
    assert harness.read_states(jobs) == [State.COMPLETED, State.FAILED, State.QUEUED]
    record = harness.table.get_record(jobs[1].id)
    assert record
    assert record.reason == f"The dream took longer than {harness.settings.time_limit_seconds} s."


def test_batch_mates_that_had_no_turn_in_time_are_dreamt_together_later(harness: ProcessorHarness) -> None:
    """Seen failing: they failed for having taken too long, and had not begun."""
    jobs = [harness.submit(number, size=(320, 240) if number else (240, 320)) for number in range(3)]
    harness.dreamer.during_first_ascent = take_too_long
    with pytest.raises(Released):
        harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.QUEUED] * 3
    assert harness.table.count_attempts([job.id for job in jobs]) == [1, 0, 0]
    harness.deliver(jobs[1])
    assert harness.dreamer.batch_sizes == [1, 2]
    assert harness.read_states(jobs) == [State.QUEUED, State.COMPLETED, State.COMPLETED]


def test_what_is_dreamt_alone_after_others_of_its_batch_has_another_try_with_all_of_the_time(
    harness: ProcessorHarness,
) -> None:
    """Seen failing: what was left when the time of all was over failed."""

    def run_out() -> None:
        raise MemoryError

    def dream_unless_too_long(*arguments: Any, **options: Any) -> DreamResult:
        return take_too_long() if next(are_too_long) else dream(*arguments, **options)

    dream, are_too_long = harness.dreamer.dream, iter([False, True, False, False, False])
    jobs = [harness.submit(number) for number in range(4)]
    harness.dreamer.during_first_ascent = run_out
    harness.dreamer.dream = dream_unless_too_long  # type: ignore[method-assign]
    harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.COMPLETED, *[State.QUEUED] * 3]
    assert harness.list_queued(Lane.BATCH) == [job.id for job in jobs[1:]]
    for job in jobs[1:]:
        harness.deliver(job)
    assert harness.dreamer.batch_sizes == [4, 1, 1, 1, 1]
    assert harness.read_states(jobs) == [State.COMPLETED] * 4


def test_a_batch_whose_photos_take_all_the_time_is_not_released_without_end(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if only what was begun counts as an attempt."""
    jobs = [harness.submit(number) for number in range(3)]
    monkeypatch.setattr(harness.processor._store, "get", lambda _: take_too_long())
    with pytest.raises(Released):
        harness.deliver(jobs[0])
    assert harness.table.count_attempts([job.id for job in jobs]) == [1, 0, 0]
    harness.processor.process(jobs[0].id)
    assert harness.read_states(jobs) == [State.FAILED, State.QUEUED, State.QUEUED]


def test_batch_mates_that_are_claimed_before_the_broker_is_lost_are_dreamt(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: they were neither dreamt nor renewed, and each lost one of its attempts."""
    jobs = [harness.submit(number) for number in range(4)]
    batcher = harness.processor._batcher
    answers, try_claim = iter([True, False]), batcher._try_claim

    def try_claim_unless_lost(*arguments: Any) -> Claim | None:
        if not next(answers):
            raise redis.ConnectionError
        return try_claim(*arguments)

    monkeypatch.setattr(batcher, "_try_claim", try_claim_unless_lost)
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2]
    assert harness.read_states(jobs) == [State.COMPLETED] * 2 + [State.QUEUED] * 2
    assert harness.list_queued(Lane.BATCH) == [job.id for job in jobs[2:]]


def test_a_claimed_job_whose_message_cannot_be_removed_is_dreamt_once(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_unavailable(*_: object) -> None:
        raise redis.ConnectionError

    jobs = [harness.submit(number) for number in range(2)]
    monkeypatch.setattr(harness.processor._batcher._client, "lrem", raise_unavailable)
    harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.COMPLETED] * 2
    assert harness.list_queued(Lane.BATCH) == [jobs[1].id]
    harness.deliver(jobs[1])
    assert harness.dreamer.batch_sizes == [2]


def test_a_job_that_a_worker_died_of_takes_nobody_with_it(harness: ProcessorHarness) -> None:
    """Fails without the check of earlier attempts."""
    jobs = [harness.submit(number) for number in range(4)]
    for dangerous in (jobs[0], jobs[2]):
        assert harness.table.claim(dangerous, "w-9")
        harness.table.requeue(dangerous.id, dead_worker="w-9")
    harness.deliver(jobs[1])
    assert harness.dreamer.batch_sizes == [2]
    assert harness.read_states(jobs) == [State.ACCEPTED, State.COMPLETED, State.ACCEPTED, State.COMPLETED]
    harness.processor.process(jobs[0].id)
    assert harness.dreamer.batch_sizes == [2, 1]
    assert harness.read_states(jobs)[2] == State.ACCEPTED


def test_a_worker_that_has_to_stop_hands_all_of_them_back(harness: ProcessorHarness) -> None:
    def stop() -> None:
        raise SoftTimeLimitExceeded

    jobs = [harness.submit(number) for number in range(4)]
    harness.processor = JobProcessor(harness.settings, "w-1", harness.dreamer, is_stopping=lambda: True)
    harness.dreamer.during_first_ascent = stop
    with pytest.raises(Released):  # Celery then requeues the first job's message
        harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.QUEUED] * 4
    assert count_queued(harness.client, Lane.BATCH) == 3
    assert harness.table.count_attempts([job.id for job in jobs]) == [0] * 4


@pytest.mark.whole_component
def test_a_killed_worker_s_batch_is_dreamt_once_by_the_next(harness: ProcessorHarness, tmp_path: Path) -> None:
    """With a real worker and kill -9 during the ascent."""
    with harness.running_worker(tmp_path, "--lane", "batch") as worker:
        worker.suspend()  # else it may take the first job before the others are queued, and dream it alone
        jobs = [harness.submit(number, HELD_RECIPE) for number in range(5)]
        worker.resume()
        wait_until(lambda: harness.read_states(jobs).count(State.STARTED) > 1, "dreamt together")
        for process in worker.children():
            process.kill()
        harness.release_dreams()
        wait_until(lambda: harness.read_states(jobs) == [State.COMPLETED] * 5, "all completed")
    assert sorted(harness.list_ended_jobs()) == sorted(job.id for job in jobs)
