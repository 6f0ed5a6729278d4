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
from tests.fault.installation import Site, Worker

#: A worker that can be told to stop eating, as no real one can.
OBEDIENT = """
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

#: Seconds within which a dead worker's job is another's.
REDELIVERED = 30


def dreamer(site: Site, job: Job) -> Worker:
    """Return the worker that dreams a job, once it is in the middle of it."""
    site.until(lambda: bool(site.of(job, Progress)))
    started = site.of(job, Started)[-1]
    assert isinstance(started, Started)
    pid = int(started.worker.rpartition("-")[2])
    return next(worker for worker in site.workers if pid in [process.pid for process in worker.family])


def test_a_worker_that_dies_whole_gives_its_job_to_another(pair: Site) -> None:
    """Seen failing without the reconciler: the message came back with kombu's visibility timeout, after minutes."""
    job = pair.submit(1, pair.long)
    dreamer(pair, job).kill()
    passed = pair.until(lambda: len(pair.of(job, Started)) == 2, patience=REDELIVERED)
    pair.until(lambda: pair.ended(job))
    pair.verify()
    print(f"killed a worker tree: its job was started again after {passed:.1f} s")  # noqa: T201


def test_a_dream_outlives_the_parent_of_its_process(pair: Site) -> None:
    job = pair.submit(2, pair.long)
    dreamer(pair, job).process.kill()
    pair.until(lambda: pair.ended(job))
    assert len(pair.of(job, Completed)) == 1
    pair.verify()


def test_a_frozen_worker_loses_its_job_and_publishes_nothing_when_it_thaws(pair: Site) -> None:
    """Seen failing without the token in `complete`: the job completed twice."""
    job = pair.submit(3, pair.long)
    frozen = dreamer(pair, job)
    for process in frozen.family:
        process.suspend()
    try:
        pair.until(lambda: pair.ended(job), patience=REDELIVERED + 30)
        assert len(pair.of(job, Started)) == 2
    finally:
        for process in frozen.family:
            process.resume()
    log = f"job {job.id} was called off or taken over by another worker"
    pair.until(lambda: log in pair.log.read_text())
    pair.verify()


def test_a_job_that_kills_its_worker_is_given_up_and_its_neighbours_are_dreamt(pair: Site) -> None:
    poison = pair.submit(4, pair.long)
    neighbours = [pair.submit(number) for number in range(5, 8)]
    for count in range(1, MAX_ATTEMPTS + 1):
        pair.until(lambda count=count: len(pair.of(poison, Started)) == count)  # type: ignore[misc]
        started = pair.of(poison, Started)[-1]
        assert isinstance(started, Started)
        psutil.Process(int(started.worker.rpartition("-")[2])).kill()
    pair.until(lambda: pair.ended(poison))
    [failed] = pair.of(poison, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == ATTEMPTS_EXHAUSTED_REASON
    pair.until(lambda: all(pair.of(one, Completed) for one in neighbours))
    pair.verify()


def test_a_worker_that_must_stop_hands_back_what_it_cannot_finish_in_its_grace(pair: Site) -> None:
    """Seen failing without `Stopping`: the worker went on for as long as the dream took."""
    job = pair.submit(8, pair.long.model_copy(update={"ascent": pair.long.ascent.model_copy(update={"steps": 2000})}))
    stopped, before = dreamer(pair, job), len(pair.log.read_text())
    stopped.process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    pair.until(lambda: stopped.process.poll() is not None)
    print(f"SIGTERM: stopped after {time.monotonic() - told:.1f} s")  # noqa: T201
    assert stopped.process.returncode == 0
    pair.until(lambda: len(pair.of(job, Started)) == 2, patience=5)  # no lease has to run out
    assert pair.client.hget(f"artdream:job:{job.id}", "tries") == "1"
    assert pair.table.cancel(job.id)
    del pair.jobs[job.id]
    told_of = pair.log.read_text()[before:]
    assert "the worker has to stop" in told_of
    assert "Traceback" not in told_of


def test_one_job_that_two_workers_get_is_dreamt_by_one(pair: Site) -> None:
    """Seen failing without leases: the second delivery voided the first, and both dreamt."""
    job = pair.submit(9, pair.long)
    pair.app.send_task(DREAM_TASK, args=[job.id], task_id=job.id, queue=Lane.LIVE.value)
    pair.until(lambda: pair.ended(job))
    pair.until(lambda: count_queued(pair.client, Lane.LIVE) == 0)
    assert len(pair.of(job, Started)) == 1
    assert "is dreaming it; this delivery is dropped" in pair.log.read_text()
    pair.verify()


def test_a_job_whose_message_was_lost_is_queued_again(pair: Site) -> None:
    """What a worker leaves that dies between popping a message and noting it. Seen failing without the reconciler."""
    busy = [pair.submit(number, pair.long) for number in (10, 11)]
    pair.until(lambda: all(pair.started(one) for one in busy))
    job = pair.submit(12, lane=Lane.BATCH)
    assert sum(pair.client.delete(name) for name in queue_keys(Lane.BATCH)) == 1
    pair.until(lambda: pair.ended(job), patience=REDELIVERED + 30)
    assert pair.table.get_state(job.id) is State.COMPLETED
    pair.until(lambda: all(pair.ended(one) for one in busy))
    pair.verify()


def test_a_worker_that_is_connected_but_eats_nothing_starts_itself_anew(pair: Site) -> None:
    """Seen failing without the watchdog: the photo waited for ever."""
    for worker in pair.workers:
        worker.kill()
    stuck = pair.start_worker(command=(sys.executable, "-c", OBEDIENT))
    stuck.process.send_signal(signal.SIGUSR2)
    pair.until(lambda: "it eats no more" in pair.log.read_text())
    job = pair.submit(14)
    passed = pair.until(lambda: pair.ended(job), patience=90)
    assert "it starts anew" in pair.log.read_text()
    assert stuck.process.poll() is None
    pair.verify()
    print(f"a consumer that stood still: its job was done after {passed:.1f} s")  # noqa: T201
