"""Workers die, hang, freeze and stop, and every job ends once."""

import signal
from dataclasses import replace

import psutil
import pytest

from shared.jobs.events import Completed, Failed, Progress, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import DREAM_TASK, count_queued, queue_keys, submit
from shared.jobs.state_machine import MAX_ATTEMPTS
from shared.jobs.table import ATTEMPTS_EXHAUSTED_REASON
from shared.recipe.canary import Canary
from shared.recipe.recipe import Recipe
from shared.storage.sidecar import read_sidecar
from tests.dreamer import DEADLY, HANGING, hold_dreams
from tests.fault.faulty_proxy import FaultyProxy
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.stack import free_port
from tests.worker_process import SHORT_TIMING, STALLED_MESSAGE, worker_command

pytestmark = pytest.mark.slow


def find_pool_process(installation: FaultInstallation, job: Job) -> int:
    """Return the id of the pool process that started a job last."""
    started = installation.events_of(job, Started)[-1]
    assert isinstance(started, Started)
    return int(started.worker.rpartition("-")[2])


def find_worker(installation: FaultInstallation, job: Job) -> WorkerProcess:
    """Return the worker that started a job last."""
    pid = find_pool_process(installation, job)
    return next(worker for worker in installation.workers if pid in [process.pid for process in worker.process_tree])


def submit_candidate(installation: FaultInstallation, seed: int, current: Recipe) -> Job:
    """Submit a photo that gets version 2 of a recipe."""
    job = installation.store_photo(seed)
    canary = Canary(candidate=current.model_copy(update={"version": 2}), percent=100)
    recipe, comparison = canary.assign(current, job.photo_id)
    job = job.model_copy(update={"recipe": recipe, "comparison": comparison})
    submit(installation.app, installation.table, job)
    installation.jobs[job.id] = job
    return job


def verify_current_version(installation: FaultInstallation, job: Job) -> None:
    """Assert that the second attempt at a candidate's job made its one dream, with the current version."""
    installation.wait_until(lambda: installation.is_ended(job))
    assert len(installation.events_of(job, Started)) == 2
    sidecar = read_sidecar(installation.store, job.id)
    assert sidecar
    assert sidecar.recipe.version == 1
    installation.verify_outcomes()


def test_a_worker_that_dies_whole_gives_its_job_to_another(two_workers: FaultInstallation) -> None:
    """Seen failing without the reconciler: the message came back with kombu's visibility timeout, after minutes."""
    job = two_workers.start_held_job(1)
    find_worker(two_workers, job).kill()
    seconds = two_workers.wait_until(lambda: len(two_workers.events_of(job, Started)) == 2)
    two_workers.release_dreams()
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    two_workers.verify_outcomes()
    print(f"killed a worker tree: its job was started again after {seconds:.1f} s")  # noqa: T201


def test_a_dream_outlives_the_parent_of_its_process(two_workers: FaultInstallation) -> None:
    job = two_workers.start_held_job(2)
    parent = find_worker(two_workers, job).process
    parent.kill()
    parent.wait()
    two_workers.release_dreams()
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    assert len(two_workers.events_of(job, Completed)) == 1
    two_workers.verify_outcomes()


def test_a_frozen_worker_loses_its_job_and_publishes_nothing_when_it_thaws(two_workers: FaultInstallation) -> None:
    """Seen failing without the token in `complete`: the job completed twice."""
    job = two_workers.start_held_job(3)
    frozen = find_worker(two_workers, job)
    for process in frozen.process_tree:
        process.suspend()
    try:
        two_workers.wait_until(lambda: len(two_workers.events_of(job, Started)) == 2)
        two_workers.release_dreams()
        two_workers.wait_until(lambda: two_workers.is_ended(job))
    finally:
        for process in frozen.process_tree:
            process.resume()
    log = f"job {job.id} was cancelled or taken over by another worker"
    two_workers.wait_until(lambda: log in two_workers.log.read_text())
    two_workers.verify_outcomes()


def test_a_job_that_kills_its_worker_is_given_up_and_its_neighbours_are_dreamt(two_workers: FaultInstallation) -> None:
    poison = two_workers.start_held_job(4)
    neighbours = [two_workers.submit(number) for number in range(5, 8)]
    for count in range(1, MAX_ATTEMPTS + 1):
        two_workers.wait_until(lambda count=count: len(two_workers.events_of(poison, Started)) == count)  # type: ignore[misc]
        psutil.Process(find_pool_process(two_workers, poison)).kill()
    two_workers.wait_until(lambda: two_workers.is_ended(poison))
    [failed] = two_workers.events_of(poison, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == ATTEMPTS_EXHAUSTED_REASON
    two_workers.wait_until(lambda: all(two_workers.events_of(neighbour, Completed) for neighbour in neighbours))
    two_workers.verify_outcomes()


def test_a_candidate_that_kills_its_process_costs_no_guest_the_dream(two_workers: FaultInstallation) -> None:
    """Seen failing: it was dreamt again until it had killed three, and the photo failed."""
    deadly = two_workers.short_recipe.model_copy(update={"name": DEADLY})
    verify_current_version(two_workers, submit_candidate(two_workers, 17, deadly))


def test_a_candidate_whose_worker_dies_whole_costs_no_guest_the_dream(two_workers: FaultInstallation) -> None:
    hold_dreams(two_workers.settings.data)
    job = submit_candidate(two_workers, 18, two_workers.held_recipe)
    two_workers.wait_until(lambda: bool(two_workers.events_of(job, Progress)))
    find_worker(two_workers, job).kill()
    two_workers.wait_until(lambda: len(two_workers.events_of(job, Started)) == 2)
    two_workers.release_dreams()
    verify_current_version(two_workers, job)


def test_a_worker_that_must_stop_hands_back_what_it_cannot_finish_in_its_grace(two_workers: FaultInstallation) -> None:
    """Seen failing without `GracefulShutdown`: the worker ran until the dream was completed."""
    job = two_workers.start_held_job(8)
    stopped, log_length = find_worker(two_workers, job), len(two_workers.log.read_text())
    stopped.process.send_signal(signal.SIGTERM)
    seconds = two_workers.wait_until(lambda: stopped.process.poll() is not None)
    print(f"SIGTERM: stopped after {seconds:.1f} s")  # noqa: T201
    assert stopped.process.returncode == 0
    two_workers.wait_until(lambda: len(two_workers.events_of(job, Started)) == 2)
    assert two_workers.table.count_attempts([job.id]) == [1]  # no lease had to expire
    assert two_workers.table.cancel(job.id)
    del two_workers.jobs[job.id]
    log = two_workers.log.read_text()[log_length:]
    assert "the worker has to stop" in log
    assert "Traceback" not in log


def test_one_job_that_two_workers_get_is_dreamt_by_one(two_workers: FaultInstallation) -> None:
    """Seen failing without leases: the second delivery invalidated the first claim, and both processed the job."""
    job = two_workers.start_held_job(9)
    two_workers.app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=Lane.LIVE.value)
    two_workers.wait_until(lambda: f"job {job.id} is held: " in two_workers.log.read_text())
    two_workers.release_dreams()
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    assert count_queued(two_workers.client, Lane.LIVE) == 0
    assert len(two_workers.events_of(job, Started)) == 1
    two_workers.verify_outcomes()


def test_a_job_whose_message_was_lost_is_queued_again(two_workers: FaultInstallation) -> None:
    """A worker may die between popping a message and recording it. Seen failing without the reconciler."""
    busy_jobs = [two_workers.start_held_job(number) for number in (10, 11)]
    job = two_workers.submit(12, lane=Lane.BATCH)
    assert sum(two_workers.client.delete(name) for name in queue_keys(Lane.BATCH)) == 1
    two_workers.release_dreams()
    two_workers.wait_until(lambda: all(two_workers.is_ended(each) for each in (job, *busy_jobs)))
    assert two_workers.table.get_state(job.id) is State.COMPLETED
    two_workers.verify_outcomes()


def test_a_worker_that_is_connected_but_consumes_nothing_restarts_itself(no_workers: FaultInstallation) -> None:
    """Seen failing without the watchdog: the photo waited forever."""
    temporary_folder = no_workers.folder / "tmp"
    temporary_folder.mkdir()
    stalled_worker = no_workers.start_worker(
        command=worker_command(timing=replace(SHORT_TIMING, stuck_timeout_seconds=1.0)),
        environment={"TMPDIR": str(temporary_folder)},
        worker_metrics_port=free_port(),
    )
    stalled_worker.process.send_signal(signal.SIGUSR2)
    no_workers.wait_until(lambda: STALLED_MESSAGE in no_workers.log.read_text())
    job = no_workers.submit(14)
    seconds = no_workers.wait_until(lambda: no_workers.is_ended(job))
    assert "it restarts" in no_workers.log.read_text()
    assert stalled_worker.process.poll() is None
    assert len(list(temporary_folder.glob("artdream-metrics-*"))) == 1  # that of the new process
    no_workers.verify_outcomes()
    print(f"a consumer that stood still: its job was done after {seconds:.1f} s")  # noqa: T201


def test_a_dream_that_never_ends_fails_at_its_time_limit_and_the_next_is_dreamt(no_workers: FaultInstallation) -> None:
    """With a broker that is far away, and for longer than a lease.

    Seen failing with a processor that took the time since it began for the reason of the interruption: it was less than
    the limit, so the job was released and dreamt again, forever. Fails without the soft time limit, too, and without
    renewal of leases while there are no frames.
    """
    time_limit_seconds = 2 * int(SHORT_TIMING.lease_seconds) + 1
    proxy = FaultyProxy(no_workers.port, delay=0.04)
    no_workers.start_worker(broker_port=proxy.port, time_limit_seconds=time_limit_seconds)
    hanging = no_workers.submit(15, no_workers.short_recipe.model_copy(update={"name": HANGING}))
    following = no_workers.submit(16)
    no_workers.wait_until(lambda: no_workers.is_ended(hanging) and no_workers.is_ended(following))
    [failed] = no_workers.events_of(hanging, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The dream took longer than {time_limit_seconds} s."
    assert len(no_workers.events_of(hanging, Started)) == 1
    no_workers.verify_outcomes()
    proxy.close()
