"""Guests come first: a batch's dream steps aside for them between two of its frames, and goes on as if nothing were."""

import io
from pathlib import Path

import numpy as np
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued
from shared.storage.object_names import dream_name, photo_name
from shared.storage.sidecar import read_sidecar
from tests.servers import until
from tests.worker.jobs.processor_harness import LONG, House
from worker.jobs.frames import encode_jpeg
from worker.jobs.lease import Released
from worker.jobs.processor import JobProcessor


def with_guests(house: House, count: int) -> tuple[Job, list[Job]]:
    """Dream a job of a batch, in the midst of which guests come."""
    guests: list[Job] = []

    def come() -> None:
        guests.extend(house.submit(number, lane=Lane.LIVE) for number in range(1, count + 1))

    house.dreamer.amid = come
    house.deliver(batch := house.submit(0))
    return batch, guests


def test_guests_who_come_amid_a_batch_s_dream_are_shown_before_it_and_it_is_the_same_dream(house: House) -> None:
    """Seen failing without: the guests waited for the end."""
    batch, guests = with_guests(house, 2)
    assert house.ends() == [*(guest.id for guest in guests), batch.id]
    assert house.dreamer.ascents == [1, 1, 1]
    assert count_queued(house.client, Lane.LIVE) == 0
    with Image.open(io.BytesIO(house.store.get(photo_name(batch.photo_id)) or b"")) as photo:
        undisturbed = house.dreamer.dream(np.asarray(photo), batch.recipe, seed=batch.seed)
    assert house.store.get(dream_name(batch.id)) == encode_jpeg(undisturbed.pixels)


def test_the_time_of_guests_is_not_counted_as_the_batch_s(house: House) -> None:
    """Else whoever looks at the stages, or at the forecast, would be told that dreams take ever longer."""
    batch, guests = with_guests(house, 3)
    told = {job.id: sidecar.stages for job in (batch, *guests) if (sidecar := read_sidecar(house.store, job.id))}
    assert told[batch.id]["dream"] < sum(told[guest.id]["dream"] for guest in guests)


def test_a_batch_that_is_dreamt_in_company_steps_aside_too(house: House) -> None:
    guests: list[Job] = []
    house.dreamer.amid = lambda: guests.append(house.submit(9, lane=Lane.LIVE))
    jobs = [house.submit(number) for number in range(4)]
    house.deliver(jobs[0])
    assert house.dreamer.ascents == [4, 1]
    assert house.ends()[0] == guests[0].id
    assert house.states([*jobs, *guests]) == [State.COMPLETED] * 5


def test_guests_wait_for_each_other(house: House) -> None:
    guests: list[Job] = []
    house.dreamer.amid = lambda: guests.append(house.submit(2, lane=Lane.LIVE))
    first = house.submit(1, lane=Lane.LIVE)
    house.studio.process(first)
    assert house.states([first, *guests]) == [State.COMPLETED, State.QUEUED]


def test_a_worker_of_batches_alone_leaves_guests_to_theirs(house: House) -> None:
    house.studio = JobProcessor(house.settings, "w-1", house.dreamer, lambda: False)
    batch, guests = with_guests(house, 1)
    assert house.states([batch, *guests]) == [State.COMPLETED, State.QUEUED]


def test_a_worker_that_is_told_to_stop_lets_nobody_in_any_more(house: House, tmp_path: Path) -> None:
    """With a real worker, whose grace is its batch's. Seen failing without: it dreamt the guest's photo, too."""
    with house.worker(tmp_path) as worker:
        batch = house.submit(0, LONG)
        until(lambda: house.states([batch]) == [State.STARTED], "dreamt")
        worker.terminate()
        until(lambda: "shutdown" in (tmp_path / "worker.log").read_text(), "heard")
        guest = house.submit(1, lane=Lane.LIVE)
        worker.wait(120)
    assert house.states([batch, guest]) == [State.COMPLETED, State.QUEUED]


def test_a_photo_that_a_worker_died_of_is_not_let_in_between(house: House) -> None:
    def come() -> None:
        guests.append(house.submit(1, lane=Lane.LIVE))
        assert house.table.claim(guests[0], "w-9")
        house.table.requeue(guests[0].id, dead_worker="w-9")

    guests: list[Job] = []
    house.dreamer.amid = come
    house.deliver(batch := house.submit(0))
    assert house.states([batch, *guests]) == [State.COMPLETED, State.ACCEPTED]
    assert count_queued(house.client, Lane.LIVE) == 1


def test_a_guest_s_photo_that_is_gone_ends_alone(house: House) -> None:
    def come() -> None:
        guests.append(house.submit(1, lane=Lane.LIVE))
        house.store.delete(photo_name(guests[0].photo_id))

    guests: list[Job] = []
    house.dreamer.amid = come
    house.deliver(batch := house.submit(0))
    assert house.states([batch, *guests]) == [State.COMPLETED, State.FAILED]


def test_a_worker_that_has_to_stop_amid_a_guest_s_dream_hands_back_both(house: House) -> None:
    class Stopped:
        """Is told to stop when it begins its second dream."""

        warm_up, dream_batch = house.dreamer.warm_up, house.dreamer.dream_batch

        def dream(self, *arguments: object, **options: object) -> object:
            if house.dreamer.ascents:
                raise SoftTimeLimitExceeded
            return house.dreamer.dream(*arguments, **options)  # type: ignore[arg-type]

    house.studio = JobProcessor(house.settings, "w-1", Stopped())  # type: ignore[arg-type]
    guests: list[Job] = []
    house.dreamer.amid = lambda: guests.append(house.submit(1, lane=Lane.LIVE))
    batch = house.submit(0)
    with pytest.raises(Released):  # upon which Celery puts the batch's message back
        house.deliver(batch)
    assert house.states([batch, *guests]) == [State.QUEUED] * 2
    assert (count_queued(house.client, Lane.LIVE), count_queued(house.client, Lane.BATCH)) == (1, 0)
    assert house.table.count_attempts([batch.id, guests[0].id]) == [0, 0]


def test_guests_do_not_take_the_time_that_a_batch_s_dream_needs(house: House) -> None:
    """Seen failing without the bound: guests who never stop coming would bring the batch's job to its time limit."""
    house.studio = JobProcessor(house.settings.model_copy(update={"time_limit_seconds": 0}), "w-1", house.dreamer)
    batch, guests = with_guests(house, 1)
    assert house.states([batch, *guests]) == [State.COMPLETED, State.QUEUED]


def test_what_a_worker_dreamt_that_is_killed_amid_a_guest_s_dream_is_dreamt_once_by_the_next(
    house: House, tmp_path: Path
) -> None:
    """With a real worker and kill -9."""
    with house.worker(tmp_path) as worker:
        jobs = [house.submit(0, LONG)]
        until(lambda: house.states(jobs) == [State.STARTED], "dreamt")
        jobs.append(house.submit(1, LONG, lane=Lane.LIVE))
        until(lambda: house.states(jobs) == [State.STARTED] * 2, "steps aside")
        for process in worker.children():
            process.kill()
        until(lambda: house.states(jobs) == [State.COMPLETED] * 2, "both completed", 120)
    assert sorted(house.ends()) == sorted(job.id for job in jobs)
