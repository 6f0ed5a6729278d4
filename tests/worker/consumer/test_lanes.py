"""A worker that serves one lane leaves the other alone, and says whether it consumes."""

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from shared.jobs.job import Lane
from shared.jobs.queue import count_queued
from shared.monitoring.exporter import CONSUMING_PATH
from shared.monitoring.heartbeat import HeartbeatRegistry
from tests.fault.installation import Site, Worker
from tests.stack import free_port
from worker.consumer.liveness import Liveness

WORKER = (sys.executable, "-m", "artdream", "worker")

#: One whose watchdog sees to it soon, and which can be made to stop eating, as no real one can.
OBEDIENT = """
import signal, sys
from celery.signals import worker_ready
from artdream.cli.main import main
from worker.consumer import liveness
from worker.consumer import watchdog

watchdog.CHECK_INTERVAL_SECONDS, liveness.LIVENESS_TIMEOUT_SECONDS = 0.2, 2.0

@worker_ready.connect(weak=False)
def obey(sender, **_):
    signal.signal(signal.SIGUSR2, lambda *_: sender.cancel_task_queue("live"))

sys.argv = ["artdream", "worker", "--lane", "live"]
main()
"""


#: One whose watchdog loses patience soon.
HUNGER = 4.0
IMPATIENT = f"""
import sys
from artdream.cli.main import main
from worker.consumer import watchdog

watchdog.CHECK_INTERVAL_SECONDS, watchdog.STUCK_TIMEOUT_SECONDS = 0.2, {HUNGER}
sys.argv = ["artdream", "worker", "--lane", "batch"]
main()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("lanes"), grace_seconds=1.0)
    yield site
    site.close()


def consumes(port: int) -> int:
    """Return what a probe would see."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{CONSUMING_PATH}", timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except URLError:
        return 0


def test_a_worker_of_the_batch_lane_leaves_live_photos_to_others(site: Site, tmp_path: Path) -> None:
    """And does not start itself anew over them: seen failing with a watchdog that counts every lane."""
    port = free_port()
    worker = site.start_worker(command=(sys.executable, "-c", IMPATIENT), worker_metrics_port=port)
    parent, child = worker.pid, worker.child.pid
    live, batch = site.submit(1), site.submit(2, lane=Lane.BATCH)
    site.until(lambda: site.ended(batch))
    with pytest.raises(AssertionError):
        site.until(lambda: site.started(live), patience=2 * HUNGER)
    assert count_queued(site.client, Lane.LIVE) == 1
    assert (worker.pid, worker.child.pid) == (parent, child)
    assert consumes(port) == 200
    assert [one.lanes for one in HeartbeatRegistry(site.client).list_heartbeats()] == [("batch",)]
    other = site.start_worker(command=(*WORKER, "--lane", "live"), wait=False)
    site.until(lambda: site.ended(live))
    site.verify()
    end(worker, other)


def test_a_worker_that_takes_nothing_tells_a_probe_so_and_one_without_a_broker_does_not(site: Site) -> None:
    port = free_port()
    worker = site.start_worker(command=(sys.executable, "-c", OBEDIENT), worker_metrics_port=port, wait=False)
    site.until(lambda: consumes(port) == 503)  # it listens, and is not warm yet
    site.until(lambda: consumes(port) == 200, patience=120)
    site.kill_broker()
    time.sleep(5)  # longer than the pulse may be silent
    assert consumes(port) == 200
    site.start_broker()
    site.until(lambda: site.ended(site.submit(4)))
    worker.process.send_signal(signal.SIGUSR2)
    job = site.submit(3)
    site.until(lambda: consumes(port) == 503)
    assert not site.started(job)
    end(worker)
    site.until(lambda: bool(site.start_worker()))
    site.until(lambda: site.ended(job))


def test_a_pulse_that_never_beat_does_not_beat() -> None:
    pulse = Liveness()
    assert not pulse.is_alive()
    pulse.mark_alive()
    assert pulse.is_alive()


def end(*workers: Worker) -> None:
    """Stop workers as a cluster does, and see them end."""
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        assert worker.process.wait(40) == 0
