"""Workers die, hang, freeze and stop, and every job ends once."""

import signal
import sys
import time

import psutil

from shared.jobs.events import Completed, Failed, Progress, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import DREAM_TASK, count_queued, queue_keys
from shared.jobs.state_machine import MAX_ATTEMPTS
from shared.jobs.table import ATTEMPTS_EXHAUSTED_REASON
from tests.fault.installation import FaultInstallation, WorkerProcess

#: A worker that stops consuming on SIGUSR2.
STALLING_WORKER_SCRIPT = """
import signal, sys
from celery.signals import worker_ready
from artdream.cli.main import main

@worker_ready.connect(weak=False)
def obey(sender, **_):
    def fast(*_):
        sender.cancel_task_queue("live")
        print("it eats no more", file=sys.stderr, flush=True)
    signal.signal(signal.SIGUSR2, fast)

sys.argv = ["artdream", "worker"]
main()
"""

#: Seconds within which another worker takes over a dead worker's job.
REDELIVERY_TIMEOUT_SECONDS = 30


def find_worker(installation: FaultInstallation, job: Job) -> WorkerProcess:
    """Return the worker that processes a job, once the job has made progress."""
    installation.wait_until(lambda: bool(installation.events_of(job, Progress)))
    started = installation.events_of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    return next(worker for worker in installation.workers if pid in [process.pid for process in worker.process_tree])


def test_a_worker_that_dies_whole_gives_its_job_to_another(two_workers: FaultInstallation) -> None:
    """Seen failing without the reconciler: the message came back with kombu's visibility timeout, after minutes."""
    job = two_workers.submit(1, two_workers.long_recipe)
    find_worker(two_workers, job).kill()
    seconds = two_workers.wait_until(
        lambda: len(two_workers.events_of(job, Started)) == 2, timeout=REDELIVERY_TIMEOUT_SECONDS
    )
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    two_workers.verify_outcomes()
    print(f"killed a worker tree: its job was started again after {seconds:.1f} s")  # noqa: T201


def test_a_dream_outlives_the_parent_of_its_process(two_workers: FaultInstallation) -> None:
    job = two_workers.submit(2, two_workers.long_recipe)
    find_worker(two_workers, job).process.kill()
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    assert len(two_workers.events_of(job, Completed)) == 1
    two_workers.verify_outcomes()


def test_a_frozen_worker_loses_its_job_and_publishes_nothing_when_it_thaws(two_workers: FaultInstallation) -> None:
    """Seen failing without the token in `complete`: the job completed twice."""
    job = two_workers.submit(3, two_workers.long_recipe)
    frozen = find_worker(two_workers, job)
    for process in frozen.process_tree:
        process.suspend()
    try:
        two_workers.wait_until(lambda: two_workers.is_ended(job), timeout=REDELIVERY_TIMEOUT_SECONDS + 30)
        assert len(two_workers.events_of(job, Started)) == 2
    finally:
        for process in frozen.process_tree:
            process.resume()
    log = f"job {job.id} was called off or taken over by another worker"
    two_workers.wait_until(lambda: log in two_workers.log.read_text())
    two_workers.verify_outcomes()


def test_a_job_that_kills_its_worker_is_given_up_and_its_neighbours_are_dreamt(two_workers: FaultInstallation) -> None:
    poison = two_workers.submit(4, two_workers.long_recipe)
    neighbours = [two_workers.submit(number) for number in range(5, 8)]
    for count in range(1, MAX_ATTEMPTS + 1):
        two_workers.wait_until(lambda count=count: len(two_workers.events_of(poison, Started)) == count)  # type: ignore[misc]
        started = two_workers.events_of(poison, Started)[-1]
        assert isinstance(started, Started)
        psutil.Process(int(started.worker.rpartition("-")[2])).kill()
    two_workers.wait_until(lambda: two_workers.is_ended(poison))
    [failed] = two_workers.events_of(poison, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == ATTEMPTS_EXHAUSTED_REASON
    two_workers.wait_until(lambda: all(two_workers.events_of(neighbour, Completed) for neighbour in neighbours))
    two_workers.verify_outcomes()


def test_a_worker_that_must_stop_hands_back_what_it_cannot_finish_in_its_grace(two_workers: FaultInstallation) -> None:
    """Seen failing without `GracefulShutdown`: the worker ran until the dream was completed."""
    job = two_workers.submit(
        8,
        two_workers.long_recipe.model_copy(
            update={"ascent": two_workers.long_recipe.ascent.model_copy(update={"steps": 2000})}
        ),
    )
    stopped, log_length = find_worker(two_workers, job), len(two_workers.log.read_text())
    stopped.process.send_signal(signal.SIGTERM)
    signalled_at = time.monotonic()
    two_workers.wait_until(lambda: stopped.process.poll() is not None)
    print(f"SIGTERM: stopped after {time.monotonic() - signalled_at:.1f} s")  # noqa: T201
    assert stopped.process.returncode == 0
    two_workers.wait_until(lambda: len(two_workers.events_of(job, Started)) == 2, timeout=5)  # no lease has to expire
    assert two_workers.client.hget(f"artdream:job:{job.id}", "tries") == "1"
    assert two_workers.table.cancel(job.id)
    del two_workers.jobs[job.id]
    log = two_workers.log.read_text()[log_length:]
    assert "the worker has to stop" in log
    assert "Traceback" not in log


def test_one_job_that_two_workers_get_is_dreamt_by_one(two_workers: FaultInstallation) -> None:
    """Seen failing without leases: the second delivery invalidated the first claim, and both processed the job."""
    job = two_workers.submit(9, two_workers.long_recipe)
    two_workers.app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=Lane.LIVE.value)
    two_workers.wait_until(lambda: two_workers.is_ended(job))
    two_workers.wait_until(lambda: count_queued(two_workers.client, Lane.LIVE) == 0)
    assert len(two_workers.events_of(job, Started)) == 1
    assert "is dreaming it; this delivery is dropped" in two_workers.log.read_text()
    two_workers.verify_outcomes()


def test_a_job_whose_message_was_lost_is_queued_again(two_workers: FaultInstallation) -> None:
    """A worker may die between popping a message and recording it. Seen failing without the reconciler."""
    busy_jobs = [two_workers.submit(number, two_workers.long_recipe) for number in (10, 11)]
    two_workers.wait_until(lambda: all(two_workers.is_started(busy_job) for busy_job in busy_jobs))
    job = two_workers.submit(12, lane=Lane.BATCH)
    assert sum(two_workers.client.delete(name) for name in queue_keys(Lane.BATCH)) == 1
    two_workers.wait_until(lambda: two_workers.is_ended(job), timeout=REDELIVERY_TIMEOUT_SECONDS + 30)
    assert two_workers.table.get_state(job.id) is State.COMPLETED
    two_workers.wait_until(lambda: all(two_workers.is_ended(busy_job) for busy_job in busy_jobs))
    two_workers.verify_outcomes()


def test_a_worker_that_is_connected_but_consumes_nothing_restarts_itself(two_workers: FaultInstallation) -> None:
    """Seen failing without the watchdog: the photo waited for ever."""
    for worker in two_workers.workers:
        worker.kill()
    stalled_worker = two_workers.start_worker(command=(sys.executable, "-c", STALLING_WORKER_SCRIPT))
    stalled_worker.process.send_signal(signal.SIGUSR2)
    two_workers.wait_until(lambda: "it eats no more" in two_workers.log.read_text())
    job = two_workers.submit(14)
    seconds = two_workers.wait_until(lambda: two_workers.is_ended(job), timeout=90)
    assert "it starts anew" in two_workers.log.read_text()
    assert stalled_worker.process.poll() is None
    two_workers.verify_outcomes()
    print(f"a consumer that stood still: its job was done after {seconds:.1f} s")  # noqa: T201
