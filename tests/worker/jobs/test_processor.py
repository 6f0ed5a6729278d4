"""A delivery of a message: its job is dreamt once, or left to whom it belongs."""

import subprocess
import sys
from typing import NoReturn

import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded

from shared.appearance import Appearance, Theme
from shared.jobs.clip_requests import ClipFormat, add_clip_request
from shared.jobs.events import EventReader, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued
from shared.recipe.canvas import Canvas
from shared.redis_keys import CLIP_REQUESTS, LEASES
from shared.runtime_settings import update_runtime_settings
from shared.storage.object_names import clip_name, photo_name
from shared.storage.store import StoreError
from shared.timing import Timing
from tests.waiting import wait_until
from tests.worker.clips.videos import decode_video, mean_difference
from tests.worker.jobs.processor_harness import ProcessorHarness
from worker.clips.end_card import EndCard
from worker.jobs.lease import Released
from worker.jobs.process_id import make_process_id
from worker.jobs.processor import JobProcessor


def test_a_job_is_dreamt_once_though_its_message_comes_twice(harness: ProcessorHarness) -> None:
    job = harness.submit(1, lane=Lane.LIVE)
    harness.processor.process(job.id)
    harness.processor.process(job.id)
    assert harness.dreamer.batch_sizes == [1]
    assert harness.list_ended_jobs() == [job.id]
    [started] = [
        recorded.event for recorded in EventReader(harness.client).read() if isinstance(recorded.event, Started)
    ]
    assert started.worker == "w-1"


def test_what_is_no_job_is_dropped(harness: ProcessorHarness) -> None:
    harness.processor.process("0" * 32)
    assert harness.dreamer.batch_sizes == []


def test_another_worker_s_job_is_left_to_it(harness: ProcessorHarness) -> None:
    job = harness.submit(1, lane=Lane.LIVE)
    assert harness.table.claim(job, "elsewhere-1")
    harness.processor.process(job.id)
    assert harness.dreamer.batch_sizes == []
    assert harness.read_states([job]) == [State.STARTED]


def test_the_job_of_a_process_of_this_machine_that_died_is_taken_over_at_once(harness: ProcessorHarness) -> None:
    """Fails without `is_dead_local_process`: the delivery is dropped, and the job waits for its lease to expire."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    job = harness.submit(1, lane=Lane.LIVE)
    assert harness.table.claim(job, make_process_id(process.pid))
    harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.COMPLETED]
    assert harness.table.count_attempts([job.id]) == [2]


@pytest.mark.parametrize("lane", Lane)
def test_a_worker_that_has_to_stop_hands_its_job_back_to_its_message(lane: Lane, harness: ProcessorHarness) -> None:
    harness.processor = JobProcessor(harness.settings, "w-1", harness.dreamer, is_stopping=lambda: True)
    harness.dreamer.during_first_ascent = interrupt
    job = harness.submit(1, lane=lane)
    with pytest.raises(Released):
        harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.QUEUED]
    assert harness.table.count_attempts([job.id]) == [0]
    assert count_queued(harness.client, lane) == 1  # no second message beside the delivered one
    claim = harness.table.claim(job, "w-2")
    assert claim
    assert claim.hand_backs == 0


def test_a_dream_that_takes_too_long_fails_and_guests_among_it_are_dreamt_later(harness: ProcessorHarness) -> None:
    """The guest's dream is interrupted, and the time was the batch job's."""
    guests: list[Job] = []

    def submit_guest() -> None:
        guests.append(harness.submit(5, lane=Lane.LIVE))
        harness.dreamer.dream = lambda *_, **__: interrupt()  # type: ignore[method-assign]

    harness.dreamer.during_first_ascent = submit_guest
    job = harness.submit(0)
    harness.deliver(job)
    assert harness.read_states([job, *guests]) == [State.FAILED, State.QUEUED]
    record = harness.table.get_record(job.id)
    assert record
    assert record.reason == f"The dream took longer than {harness.settings.time_limit_seconds} s."
    assert count_queued(harness.client, Lane.LIVE) == 1
    assert harness.table.count_attempts([guests[0].id]) == [0]


def interrupt() -> NoReturn:
    raise SoftTimeLimitExceeded


@pytest.mark.parametrize(
    "error", [StoreError("away"), redis.ConnectionError("away"), redis.exceptions.NoPermissionError("away")]
)
def test_a_store_or_broker_that_stays_away_sends_the_job_back_to_its_message(
    error: Exception, harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing where the broker's user had lost a permission: the job failed for a fault in the worker."""

    def fail(*_: object) -> bytes:
        raise error

    harness.processor = JobProcessor(
        harness.settings.model_copy(update={"time_limit_seconds": 0}), "w-1", harness.dreamer
    )
    jobs = [harness.submit(number) for number in range(3)]
    monkeypatch.setattr(harness.processor._store, "get", fail)
    with pytest.raises(type(error), match="away"):
        harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.QUEUED] * 3
    assert count_queued(harness.client, Lane.BATCH) == 2  # Celery puts that of the first back
    assert harness.table.count_attempts([job.id for job in jobs]) == [0] * 3


def test_a_broker_that_is_away_amid_a_dream_leaves_it_alone_and_does_not_end_it(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker is unavailable when batch mates and live jobs are looked for, and back in time for the rest."""

    def fail(*_: object) -> None:
        raise redis.ConnectionError("away")

    for name in ("claim_batch_mates", "claim_live_job"):
        monkeypatch.setattr(harness.processor._batcher, name, fail)
    jobs = [harness.submit(number) for number in range(2)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [1]
    assert harness.read_states(jobs) == [State.COMPLETED, State.QUEUED]


def test_the_leases_of_a_batch_are_kept_as_long_as_it_is_dreamt(harness: ProcessorHarness) -> None:
    """Fails without the keepers: the leases expire, and other workers take the jobs over."""
    harness.processor = JobProcessor(
        harness.settings, "w-1", harness.dreamer, timing=Timing(renew_interval_seconds=0.02)
    )
    jobs = [harness.submit(number) for number in range(2)]

    def expire_leases() -> None:
        harness.client.zadd(LEASES, {job.id: 1 for job in jobs})
        wait_until(lambda: all((harness.client.zscore(LEASES, job.id) or 0) > 1 for job in jobs), "renewed")

    harness.dreamer.during_first_ascent = expire_leases
    harness.deliver(jobs[0])
    assert harness.read_states(jobs) == [State.COMPLETED] * 2
    assert harness.dreamer.batch_sizes == [2]


def test_what_a_guest_asks_for_is_taken_from_the_broker(harness: ProcessorHarness) -> None:
    harness.store.put(clip_name("a"), b"no clip")  # so that nothing comes of it
    harness.processor = JobProcessor(harness.settings.model_copy(update={"clips": True}), "w-1", harness.dreamer)
    add_clip_request(harness.client, "a", ClipFormat.GIF)
    wait_until(lambda: harness.client.exists(CLIP_REQUESTS) == 0, "taken")
    harness.processor.close()


def test_a_completed_dream_gets_its_clips(harness: ProcessorHarness) -> None:
    harness.processor = JobProcessor(harness.settings.model_copy(update={"clips": True}), "w-1", harness.dreamer)
    failed, completed = (harness.submit(number) for number in range(2))
    harness.store.delete(photo_name(failed.photo_id))
    harness.deliver(failed)
    wait_until(lambda: harness.store.get(clip_name(completed.id)), "made")
    harness.processor.close()


def test_clips_end_with_what_the_console_says_of_the_event(harness: ProcessorHarness) -> None:
    harness.processor = JobProcessor(harness.settings.model_copy(update={"clips": True}), "w-1", harness.dreamer)
    update_runtime_settings(harness.client, appearance_changes={"title": "Long night", "theme": "light"})
    job = harness.submit(1)
    harness.deliver(job)
    wait_until(lambda: harness.store.get(clip_name(job.id)), "made")
    harness.processor.close()
    last = decode_video(harness.store.get(clip_name(job.id)) or b"")[-1]
    card = EndCard(Appearance(title="Long night", theme=Theme.LIGHT), None).render(Canvas(*last.shape[1::-1]))
    assert mean_difference(last, card) < 6
