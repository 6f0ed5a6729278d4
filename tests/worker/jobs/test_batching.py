"""A worker dreams jobs of a batch together, and each of them is completed, failed or called off for itself."""

from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from shared.jobs.events import Completed, EventReader, Failed, Progress
from shared.jobs.job import Lane, State
from shared.jobs.queue import count_queued
from shared.storage.object_names import dream_name, photo_name
from shared.storage.sidecar import read_sidecar
from tests.servers import until
from tests.worker.jobs.processor_harness import LONG, House
from worker.jobs.lease import Released


def test_what_waits_is_dreamt_with_the_first_in_one_ascent_and_each_is_completed_for_itself(house: House) -> None:
    jobs = [house.submit(number) for number in range(6)]
    house.deliver(jobs[0])
    assert house.dreamer.ascents == [4]
    assert house.states(jobs) == [State.COMPLETED] * 4 + [State.QUEUED] * 2
    assert count_queued(house.client, Lane.BATCH) == 2
    assert len({house.store.get(dream_name(job.id)) for job in jobs[:4]}) == 4
    events = [recorded.event for recorded in EventReader(house.client).read(max_events=1000)]
    for job in jobs[:4]:
        sidecar = read_sidecar(house.store, job.id)
        assert sidecar
        assert sidecar.photo_id == job.photo_id
        assert [type(event) for event in events if event.job_id == job.id].count(Completed) == 1
        assert any(isinstance(event, Progress) and job.id in event.frame for event in events)


def test_a_batch_job_that_is_alone_waits_for_no_company(house: House) -> None:
    job = house.submit(0)
    house.deliver(job)
    assert house.dreamer.ascents == [1]
    assert house.states([job]) == [State.COMPLETED]


def test_guests_and_other_recipes_are_no_company(house: House) -> None:
    first = house.submit(0)
    guest = house.submit(1, lane=Lane.LIVE)
    other = house.submit(2, LONG)
    like = house.submit(3)
    house.deliver(first)
    assert house.dreamer.ascents == [2, 1]
    assert house.states([first, like, guest]) == [State.COMPLETED] * 3
    assert house.states([other]) == [State.QUEUED]


def test_photos_of_another_shape_have_an_ascent_of_their_own(house: House) -> None:
    jobs = [house.submit(number, size=(320, 240) if number % 2 else (240, 320)) for number in range(4)]
    house.deliver(jobs[0])
    assert house.dreamer.ascents == [2, 2]
    assert house.states(jobs) == [State.COMPLETED] * 4


def test_three_are_dreamt_as_two_and_one_so_that_few_numbers_are_compiled(house: House) -> None:
    jobs = [house.submit(number) for number in range(3)]
    house.deliver(jobs[0])
    assert house.dreamer.ascents == [2, 1]
    assert house.states(jobs) == [State.COMPLETED] * 3


def test_a_photo_that_is_gone_fails_alone(house: House) -> None:
    jobs = [house.submit(number) for number in range(3)]
    house.store.delete(photo_name(jobs[1].photo_id))
    house.deliver(jobs[0])
    assert house.states(jobs) == [State.COMPLETED, State.FAILED, State.COMPLETED]
    failed = [r.event for r in EventReader(house.client).read(max_events=1000) if isinstance(r.event, Failed)]
    assert [event.job_id for event in failed] == [jobs[1].id]


def test_a_job_that_is_called_off_meanwhile_is_not_published_and_the_others_are(house: House) -> None:
    jobs = [house.submit(number) for number in range(4)]
    house.dreamer.amid = lambda: house.table.cancel(jobs[2].id)  # type: ignore[assignment, return-value]
    house.deliver(jobs[0])
    assert house.states(jobs) == [State.COMPLETED, State.COMPLETED, State.CANCELLED, State.COMPLETED]
    assert house.store.get(dream_name(jobs[2].id)) is None


def test_what_cannot_be_dreamt_together_is_dreamt_alone(house: House) -> None:
    def run_out() -> None:
        raise MemoryError

    jobs = [house.submit(number) for number in range(4)]
    house.dreamer.amid = run_out
    house.deliver(jobs[0])
    assert house.dreamer.ascents == [4, 1, 1, 1, 1]
    assert house.states(jobs) == [State.COMPLETED] * 4


def test_a_job_that_a_worker_died_of_takes_nobody_with_it(house: House) -> None:
    """Seen failing without looking how often they were started."""
    jobs = [house.submit(number) for number in range(4)]
    for dangerous in (jobs[0], jobs[2]):
        assert house.table.claim(dangerous, "w-9")
        house.table.requeue(dangerous.id, dead_worker="w-9")
    house.deliver(jobs[1])
    assert house.dreamer.ascents == [2]
    assert house.states(jobs) == [State.ACCEPTED, State.COMPLETED, State.ACCEPTED, State.COMPLETED]
    house.studio.process(jobs[0])
    assert house.dreamer.ascents == [2, 1]
    assert house.states(jobs)[2] == State.ACCEPTED


def test_a_worker_that_has_to_stop_hands_all_of_them_back(house: House) -> None:
    def stop() -> None:
        raise SoftTimeLimitExceeded

    jobs = [house.submit(number) for number in range(4)]
    house.dreamer.amid = stop
    with pytest.raises(Released):  # upon which Celery puts the first one's message back
        house.deliver(jobs[0])
    assert house.states(jobs) == [State.QUEUED] * 4
    assert count_queued(house.client, Lane.BATCH) == 3
    assert house.table.count_attempts([job.id for job in jobs]) == [0] * 4


def test_a_killed_worker_s_company_is_dreamt_once_by_the_next(house: House, tmp_path: Path) -> None:
    """With a real worker and kill -9 in the midst of their ascent."""
    with house.worker(tmp_path, "--lane", "batch") as worker:
        jobs = [house.submit(number, LONG) for number in range(5)]
        until(lambda: house.states(jobs).count(State.STARTED) > 1, "dreamt together")
        for process in worker.children():
            process.kill()
        until(lambda: house.states(jobs) == [State.COMPLETED] * 5, "all completed", 120)
    assert sorted(house.ends()) == sorted(job.id for job in jobs)
