"""Preemption: a live job runs between two frames of a batch job, which then resumes and gives the same dream."""

import io
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from shared.jobs.events import Stage
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued
from shared.recipe.recipe import Recipe
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, photo_name, working_photo_name
from shared.storage.sidecar import read_sidecar
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import HELD_RECIPE, LARGE_RECIPE, SHORT_RECIPE, ProcessorHarness
from worker.app import make_engine
from worker.dreamer import DreamResult, Frame, Pixels
from worker.jobs import job_photo, processor
from worker.jobs.frames import encode_jpeg
from worker.jobs.job_photo import decode_photo
from worker.jobs.lease import Released
from worker.jobs.processor import FOREIGN_TIME_SHARE, JobProcessor

THREE_STEPS_RECIPE = SHORT_RECIPE.model_copy(
    update={"ascent": SHORT_RECIPE.ascent.model_copy(update={"octaves": 1, "steps": 3})}
)


class Clock:
    """The clock of the processor, ahead of the real one by `seconds`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(processor, "time", self)

    def monotonic(self) -> float:
        return time.monotonic() + self.seconds


def call_at_frames(
    harness: ProcessorHarness, of_batch: dict[int, Callable[[], None]], of_guest: dict[int, Callable[[], None]]
) -> None:
    """Call functions at frames of the dreams of the batch's job and of guests', by the frames' indices."""
    dream = harness.dreamer.dream

    def dream_and_call(
        photo: Pixels, recipe: Recipe, *, on_frame: Callable[[Frame], None], **options: Any
    ) -> DreamResult:
        functions = of_batch if recipe == THREE_STEPS_RECIPE else of_guest

        def call_and_relay(frame: Frame) -> None:
            functions.get(frame.index, lambda: None)()
            on_frame(frame)

        return dream(photo, recipe, on_frame=call_and_relay, **options)

    harness.dreamer.dream = dream_and_call  # type: ignore[assignment, method-assign]


def run_with_guests(harness: ProcessorHarness, count: int) -> tuple[Job, list[Job]]:
    """Process a batch job, during which `count` live jobs are submitted; return the batch job and the live jobs."""
    guests: list[Job] = []

    def submit_guests() -> None:
        guests.extend(harness.submit(number, lane=Lane.LIVE) for number in range(1, count + 1))

    harness.dreamer.during_first_ascent = submit_guests
    harness.deliver(batch := harness.submit(0))
    return batch, guests


@pytest.mark.whole_component
def test_guests_who_come_amid_a_batch_s_dream_are_shown_before_it_and_it_is_the_same_dream(
    settings: Settings, client: redis.Redis
) -> None:
    """With the engine, which dreams the guests' photos in the middle of another dream.

    Fails without preemption: the live jobs wait for the end of the batch job.
    """
    harness = ProcessorHarness(settings, client, make_engine(settings))
    batch, guests = run_with_guests(harness, 2)
    assert harness.list_ended_jobs() == [*(guest.id for guest in guests), batch.id]
    assert harness.dreamer.batch_sizes == [1, 1, 1]
    assert count_queued(harness.client, Lane.LIVE) == 0
    with Image.open(io.BytesIO(harness.store.get(photo_name(batch.photo_id)) or b"")) as photo:
        undisturbed = harness.dreamer.dream(np.asarray(photo), batch.recipe, seed=batch.seed)
    stored = harness.store.get(dream_name(batch.id)) or b""
    assert decode_photo(stored, "").tobytes() == decode_photo(encode_jpeg(undisturbed.pixels), "").tobytes()


def test_the_time_of_guests_is_not_counted_as_the_batch_s(harness: ProcessorHarness) -> None:
    """Otherwise stage times and ETA would report ever longer dreams."""
    started_at = time.monotonic()
    batch, guests = run_with_guests(harness, 3)
    seconds = time.monotonic() - started_at
    sidecars = [read_sidecar(harness.store, job.id) for job in (batch, *guests)]
    assert sum(sidecar.stages[Stage.DREAM] for sidecar in sidecars if sidecar) < seconds


def test_a_batch_of_several_jobs_is_preempted_too(harness: ProcessorHarness) -> None:
    guests: list[Job] = []
    harness.dreamer.during_first_ascent = lambda: guests.append(harness.submit(9, lane=Lane.LIVE))
    jobs = [harness.submit(number) for number in range(4)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [4, 1]
    assert harness.list_ended_jobs()[0] == guests[0].id
    assert harness.read_states([*jobs, *guests]) == [State.COMPLETED] * 5


def test_the_photos_of_guests_do_not_stay_in_memory_while_a_batch_s_dream_continues(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: all of them stayed until the batch job ended."""
    decoded: list[weakref.ref[Pixels]] = []
    guests: list[Job] = []
    kept_counts: list[int] = []

    def decode_and_record(data: bytes, name: str) -> Pixels:
        photo = decode_photo(data, name)
        decoded.append(weakref.ref(photo))
        return photo

    def submit_guests() -> None:
        for number in (1, 2):
            guests.append(harness.submit(number, LARGE_RECIPE, lane=Lane.LIVE, size=(256, 192)))
            working_photo = harness.store.get(photo_name(guests[-1].photo_id)) or b""
            harness.store.put(working_photo_name(guests[-1].photo_id), working_photo)

    def count_kept() -> None:
        kept_counts.append(sum(photo() is not None for photo in decoded))

    monkeypatch.setattr(job_photo, "decode_photo", decode_and_record)
    call_at_frames(harness, {0: submit_guests, 1: count_kept}, {})
    harness.deliver(harness.submit(0, recipe=THREE_STEPS_RECIPE))
    assert harness.read_states(guests) == [State.COMPLETED] * 2
    assert len(decoded) == 5  # the batch's photo, and two sizes of each guest's
    assert kept_counts == [1]


def test_guests_wait_for_each_other(harness: ProcessorHarness) -> None:
    guests: list[Job] = []
    harness.dreamer.during_first_ascent = lambda: guests.append(harness.submit(2, lane=Lane.LIVE))
    first = harness.submit(1, lane=Lane.LIVE)
    harness.processor.process(first.id)
    assert harness.read_states([first, *guests]) == [State.COMPLETED, State.QUEUED]


def test_a_worker_of_batches_alone_leaves_guests_to_theirs(harness: ProcessorHarness) -> None:
    harness.processor = JobProcessor(harness.settings, "w-1", harness.dreamer, lambda: False)
    batch, guests = run_with_guests(harness, 1)
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.QUEUED]


@pytest.mark.whole_component
def test_a_worker_that_is_stopping_accepts_no_live_job(harness: ProcessorHarness, tmp_path: Path) -> None:
    """With a real worker. Fails if a stopping worker preempts: it also processes the live job."""
    with harness.running_worker(tmp_path) as worker:
        batch = harness.submit(0, HELD_RECIPE)
        wait_until(lambda: harness.read_states([batch]) == [State.STARTED], "dreamt")
        worker.terminate()
        wait_until(lambda: "shutdown" in (tmp_path / "worker.log").read_text(), "heard")
        guest = harness.submit(1, lane=Lane.LIVE)
        harness.release_dreams()
        worker.wait()
    assert harness.read_states([batch, guest]) == [State.COMPLETED, State.QUEUED]


def test_a_live_job_that_killed_a_worker_does_not_preempt(harness: ProcessorHarness) -> None:
    def submit_guest() -> None:
        guests.append(harness.submit(1, lane=Lane.LIVE))
        assert harness.table.claim(guests[0], "w-9")
        harness.table.requeue(guests[0].id, dead_worker="w-9")

    guests: list[Job] = []
    harness.dreamer.during_first_ascent = submit_guest
    harness.deliver(batch := harness.submit(0))
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.ACCEPTED]
    assert count_queued(harness.client, Lane.LIVE) == 1


def test_a_guest_s_photo_that_is_gone_ends_alone(harness: ProcessorHarness) -> None:
    def submit_guest() -> None:
        guests.append(harness.submit(1, lane=Lane.LIVE))
        harness.store.delete(photo_name(guests[0].photo_id))

    guests: list[Job] = []
    harness.dreamer.during_first_ascent = submit_guest
    harness.deliver(batch := harness.submit(0))
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.FAILED]


def test_a_worker_that_has_to_stop_amid_a_guest_s_dream_hands_back_both(harness: ProcessorHarness) -> None:
    class Stopped:
        """Raises SoftTimeLimitExceeded when it starts its second dream."""

        warm_up, dream_batch = harness.dreamer.warm_up, harness.dreamer.dream_batch

        def dream(self, *arguments: object, **options: object) -> object:
            if harness.dreamer.batch_sizes:
                raise SoftTimeLimitExceeded
            return harness.dreamer.dream(*arguments, **options)  # type: ignore[arg-type]

    harness.processor = JobProcessor(harness.settings, "w-1", Stopped(), is_stopping=lambda: True)  # type: ignore[arg-type]
    guests: list[Job] = []
    harness.dreamer.during_first_ascent = lambda: guests.append(harness.submit(1, lane=Lane.LIVE))
    batch = harness.submit(0)
    with pytest.raises(Released):  # Celery then requeues the batch job's message
        harness.deliver(batch)
    assert harness.read_states([batch, *guests]) == [State.QUEUED] * 2
    assert (count_queued(harness.client, Lane.LIVE), count_queued(harness.client, Lane.BATCH)) == (1, 0)
    assert harness.table.count_attempts([batch.id, guests[0].id]) == [0, 0]


def test_guests_do_not_take_the_time_that_a_batch_s_dream_needs(harness: ProcessorHarness) -> None:
    """Fails without the limit: an endless stream of live jobs would bring the batch job to its time limit."""
    harness.processor = JobProcessor(
        harness.settings.model_copy(update={"time_limit_seconds": 0}), "w-1", harness.dreamer
    )
    batch, guests = run_with_guests(harness, 1)
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.QUEUED]


def test_guests_are_served_in_the_first_half_of_the_time_of_a_batch_s_dream(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    limit, guests = harness.settings.time_limit_seconds, list[Job]()

    def submit_guest_at(share: float) -> None:
        clock.seconds = share * limit
        guests.append(harness.submit(len(guests) + 1, lane=Lane.LIVE))

    call_at_frames(harness, {0: lambda: submit_guest_at(0.45), 1: lambda: submit_guest_at(0.55)}, {})
    harness.deliver(batch := harness.submit(0, recipe=THREE_STEPS_RECIPE))
    assert harness.list_ended_jobs() == [guests[0].id, batch.id]
    assert harness.read_states(guests) == [State.COMPLETED, State.QUEUED]


def test_a_batch_s_dream_that_is_finished_is_published_before_a_guest_is_served(harness: ProcessorHarness) -> None:
    guests: list[Job] = []
    call_at_frames(harness, {2: lambda: guests.append(harness.submit(1, lane=Lane.LIVE))}, {})
    harness.deliver(batch := harness.submit(0, recipe=THREE_STEPS_RECIPE))
    assert harness.read_states([batch, *guests]) == [State.COMPLETED, State.QUEUED]


def test_the_time_of_all_guests_together_is_given_back_to_a_batch_s_dream_that_takes_too_long(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each guest takes less than the share that is forgiven; both together take more. Their dreams get their clips."""
    settings = harness.settings.model_copy(update={"clips": True})
    harness.processor = JobProcessor(settings, "w-1", harness.dreamer)
    clock, guests = Clock(monkeypatch), list[Job]()
    share = 0.6 * FOREIGN_TIME_SHARE * harness.settings.time_limit_seconds

    def take_time() -> None:
        clock.seconds += share

    def submit_guests() -> None:
        guests.extend(harness.submit(number, lane=Lane.LIVE) for number in (1, 2))

    def take_too_long() -> None:
        raise SoftTimeLimitExceeded

    call_at_frames(harness, {0: submit_guests, 1: take_too_long}, {0: take_time})
    batch = harness.submit(0, recipe=THREE_STEPS_RECIPE)
    with pytest.raises(Released, match="its time went to guests"):
        harness.deliver(batch)
    assert harness.read_states([batch, *guests]) == [State.QUEUED, State.COMPLETED, State.COMPLETED]
    wait_until(lambda: all(harness.store.get(clip_name(guest.id)) for guest in guests), "the guests' clips are made")
    harness.processor.close()


@pytest.mark.whole_component
def test_what_a_worker_dreamt_that_is_killed_amid_a_guest_s_dream_is_dreamt_once_by_the_next(
    harness: ProcessorHarness, tmp_path: Path
) -> None:
    """With a real worker and kill -9."""
    with harness.running_worker(tmp_path) as worker:
        jobs = [harness.submit(0, HELD_RECIPE)]
        wait_until(lambda: harness.read_states(jobs) == [State.STARTED], "dreamt")
        jobs.append(harness.submit(1, HELD_RECIPE, lane=Lane.LIVE))
        wait_until(lambda: harness.read_states(jobs) == [State.STARTED] * 2, "preempted")
        for process in worker.children():
            process.kill()
        harness.release_dreams()
        wait_until(lambda: harness.read_states(jobs) == [State.COMPLETED] * 2, "both completed")
    assert sorted(harness.list_ended_jobs()) == sorted(job.id for job in jobs)
