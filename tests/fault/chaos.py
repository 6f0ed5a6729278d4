"""Chaos test: inject random faults into a whole installation at work, and count the outcomes of its jobs.

    python -m tests.fault.chaos [--jobs 300] [--faults 60] [--minutes 30] [--seed 0] [--steps]

Faults are injected one after another: each kills, stops, cuts off, refuses, fills, wipes or corrupts something, or
cancels and deletes, and ends before the next.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.report import ARTIFACTS_FOLDER
from display.moderation import Moderation
from display.state.dream_index import Dream, DreamIndex
from shared.errors import ArtDreamError
from shared.jobs.job import Lane, State
from shared.jobs.queue import DREAM_TASK, queue_keys
from shared.recipe.recipe import load_recipe
from shared.redis_keys import LEFTOVERS, PENDING_DELETIONS_KEY, job_key
from shared.storage.sidecar import read_sidecar
from shared.timing import DEFAULT_TIMING, Timing
from tests.dreamer import HANGING
from tests.fault.busy_installation import BusyInstallation
from tests.fault.chaos_report import InjectedFault, publish_report
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import WorkerProcess
from tests.fault.outcomes import Outcomes
from tests.recipes import write_recipe
from tests.servers import S3Server
from tests.waiting import WAIT_TIMEOUT_SECONDS
from tests.worker_process import SHORT_TIMING, worker_command

#: Unfinished jobs at any time, so that every component is busy when a fault hits it.
JOBS_IN_FLIGHT = 6

#: Seconds after which a pool process has certainly started: one that dies before ends its worker, as Celery has it.
POOL_START_SECONDS = 3.0

#: Steps and canvas of a dream that no worker finishes within its time limit; the dreamer of the tests does not try.
ENDLESS_STEPS, ENDLESS_CANVAS = 2000, 1024


class ChaosRun(BusyInstallation):
    """An installation at work, and the faults that are injected into it."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        worker_command: Sequence[str] = (sys.executable, "-m", "artdream", "worker"),
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """timing: the times of the workers that `worker_command` starts; a fault lasts as long as about one lease."""
        super().__init__(folder, worker_command=worker_command)
        self._lease_seconds = timing.lease_seconds
        self.rng = random.Random(seed)
        self.injected: list[InjectedFault] = []
        hanging_recipe = load_recipe(str(write_recipe(folder, HANGING, steps=ENDLESS_STEPS)))
        self._hanging_recipe = hanging_recipe.model_copy(update={"canvas": ENDLESS_CANVAS})
        self.faults: dict[str, Callable[[], None]] = {
            "kill a dreaming process": self._kill_child,
            "kill a worker with all its processes": self._kill_tree,
            "kill a worker's parent alone": self._kill_parent,
            "freeze a worker for longer than a lease": self._suspend_worker,
            "freeze a dreaming process for good": self._suspend_child,
            "stop a worker by SIGTERM": self._terminate_worker,
            "kill the producer": self._kill_producer,
            "kill the display": self._kill_display,
            "kill the broker": self._kill_broker,
            "stop the broker": self._suspend_broker,
            "pause the broker": self._pause_broker,
            "wipe the broker": self._wipe_broker,
            "make the broker a replica": self._make_replica,
            "fill the broker's memory": self._fill_memory,
            "let the broker save nothing": self._refuse_writes,
            "forbid the broker's user everything": self._forbid_commands,
            "close all connections to the broker": self._kill_connections,
            "cut the workers' link": lambda: self._disturb_link(self.worker_proxy, LinkState.CUT),
            "silence the workers' link": lambda: self._disturb_link(self.worker_proxy, LinkState.SILENT),
            "leave the workers' connections half open": lambda: self._disturb_link(
                self.worker_proxy, LinkState.HALF_OPEN
            ),
            "cut the producer's link": lambda: self._disturb_link(self.producer_proxy, LinkState.CUT),
            "silence the producer's link": lambda: self._disturb_link(self.producer_proxy, LinkState.SILENT),
            "kill the store": self._kill_store,
            "let the store answer 403": self._forbid_store,
            "cut the link to the store": lambda: self._disturb_link(self.store_proxy, LinkState.CUT),
            "bend what the store sends": lambda: self._disturb_link(self.store_proxy, LinkState.CORRUPTING),
            "deliver a job twice": self._duplicate_deliveries,
            "lose a message": self._drop_messages,
            "send a dream that never ends": self._submit_endless,
            "cancel jobs": self._cancel_jobs,
            "cancel a running job and kill its worker": self._cancel_and_kill,
            "delete a dream": self._delete_dream,
            "delete a dream while the store is unavailable": self._delete_without_store,
        }

    def run(self, jobs: int, faults: int, minutes: float) -> Outcomes:
        """Submit photos and inject faults up to the given numbers; return the outcomes once all jobs have ended.

        jobs, faults: least number of photos and of faults. minutes: least length of the run.
        """
        self.wait_until_warm()
        started, names = time.monotonic(), list[str]()
        while (
            len(self.submitted_jobs) < jobs or len(self.injected) < faults or time.monotonic() - started < 60 * minutes
        ):
            self.submit_photos(JOBS_IN_FLIGHT)
            if len(self.injected) >= faults and not minutes:
                continue
            if not names:
                names = self.rng.sample(list(self.faults), len(self.faults))
            self.inject_fault(names.pop())
        self.finish()
        self.note_ended("the last fault")
        return self.outcomes

    def inject_fault(self, name: str) -> None:
        """Inject a fault, restart what it ended, and wait until the next dream is complete."""
        self.installation.wait_until(lambda: self.submit_photos(JOBS_IN_FLIGHT) > 0)
        self.faults[name]()
        started = time.monotonic()
        self._restart_ended(name)
        self.read_events()
        dreams_before = len(self.list_ended(State.COMPLETED))
        self.retry(self.batch_submission.resubmit_lost_jobs)  # as running the same `artdream send` again does
        self.installation.wait_until(
            lambda: self.submit_photos(JOBS_IN_FLIGHT) > 0 and len(self.list_ended(State.COMPLETED)) > dreams_before
        )
        fault = InjectedFault(name, time.monotonic() - started)
        self.injected.append(fault)
        print(f"{len(self.injected):3} {name}: {fault.recovery_seconds:.1f} s", flush=True)  # noqa: T201

    def _restart_ended(self, fault: str) -> None:
        """Restart ended processes, as a supervisor does, and note those that nobody ended."""
        self.note_ended(fault)
        if self.producer.poll() is not None:
            self.producer = self.start_component("watch")
        if self.display.poll() is not None:
            self.start_display()
        for worker in [worker for worker in self.installation.workers if worker.process.poll() is not None]:
            self.installation.workers.remove(worker)
            self.start_worker()

    def _pick_worker(self) -> WorkerProcess:
        """Return a random worker that has a pool process, once there is one."""

        def list_busy_workers() -> list[WorkerProcess]:
            return [worker for worker in self.installation.workers if len(worker.process_tree) > 1]

        self.installation.wait_until(lambda: bool(list_busy_workers()))
        return self.rng.choice(list_busy_workers())

    def _kill_child(self) -> None:
        process = self._pick_worker().pool_process
        self.installation.wait_until(lambda: time.time() - process.create_time() > POOL_START_SECONDS)
        process.kill()

    def _kill_tree(self) -> None:
        self._kill_worker(self._pick_worker())

    def _kill_worker(self, worker: WorkerProcess) -> None:
        self.killed_pids.add(worker.pid)
        worker.kill()

    def _kill_parent(self) -> None:
        process = self._pick_worker().process
        self.killed_pids.add(process.pid)
        process.kill()
        process.wait()

    def _suspend_worker(self) -> None:
        processes = self._pick_worker().process_tree
        for process in processes:
            process.suspend()
        time.sleep(1.3 * self._lease_seconds)
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def _suspend_child(self) -> None:
        self._pick_worker().pool_process.suspend()

    def _terminate_worker(self) -> None:
        worker = self._pick_worker()
        self.killed_pids.add(worker.pid)
        worker.process.terminate()
        worker.process.wait(WAIT_TIMEOUT_SECONDS)

    def _choose_duration(self, least: float, most: float) -> float:
        """Return the seconds that a fault lasts. least, most: as multiples of a lease."""
        return self._lease_seconds * self.rng.uniform(least, most)

    def _last(self, least: float, most: float) -> None:
        """Let a fault last for some time. least, most: as multiples of a lease."""
        time.sleep(self._choose_duration(least, most))

    def _kill_producer(self) -> None:
        self.killed_pids.add(self.producer.pid)
        self.producer.kill()
        self.producer.wait()

    def _kill_display(self) -> None:
        self.killed_pids.add(self.display.pid)
        self.display.kill()
        self.display.wait()

    def _kill_broker(self) -> None:
        self.installation.broker.stop()
        self._last(0, 0.3)
        self.installation.broker.start()

    def _suspend_broker(self) -> None:
        process = self.installation.find_broker_process()
        process.suspend()
        self._last(0.3, 1.3)
        process.resume()

    def _pause_broker(self) -> None:
        seconds = self._choose_duration(0.3, 1.3)
        self.installation.client.execute_command("CLIENT", "PAUSE", int(1000 * seconds), "ALL")

    def _wipe_broker(self) -> None:
        """Wipe the broker, once it has nothing noted that is still to be deleted: that would stay in the store."""
        self.installation.wait_until(
            lambda: not any(map(self.installation.client.scard, (PENDING_DELETIONS_KEY, LEFTOVERS)))
        )
        self.read_events()
        self.broker_generation += 1
        self.installation.wipe_broker()

    def _make_replica(self) -> None:
        """Let the broker only read for a while, as one does in a failover."""
        self.installation.client.replicaof("127.0.0.1", 1)
        self._last(0.3, 1.3)
        self.installation.client.replicaof("NO", "ONE")

    def _fill_memory(self) -> None:
        self.installation.client.config_set("maxmemory", 1)
        self._last(0.3, 1.3)
        self.installation.client.config_set("maxmemory", 0)

    def _refuse_writes(self) -> None:
        """Let the broker fail to save its data, after which it takes no writes (MISCONF)."""
        with self.installation.prevent_saving():
            self._last(0.3, 1.3)

    def _forbid_commands(self) -> None:
        """Take all permissions from the broker's user, once all runs: who starts without them says so, and ends."""
        self.installation.wait_until(self.have_all_started)
        client = self.installation.client
        client.execute_command("ACL", "SETUSER", "default", "-@all", "+acl", "+auth", "+ping", "+client")
        self._last(0.3, 1.3)
        client.execute_command("ACL", "SETUSER", "default", "+@all")

    def _kill_connections(self) -> None:
        for kind in ("normal", "pubsub"):
            self.installation.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def _disturb_link(self, proxy: FaultyProxy, state: LinkState) -> None:
        proxy.state = state
        self._last(0.2, 0.8)
        proxy.state = LinkState.HEALTHY

    @contextmanager
    def _stop_store(self) -> Iterator[None]:
        self.s3_server.stop()
        yield
        self.s3_server.start()

    def _kill_store(self) -> None:
        with self._stop_store():
            self._last(0.1, 0.5)

    def _forbid_store(self) -> None:
        with self._stop_store():
            self.s3_server.start(secret_key=S3Server.secret_key[::-1])
            self._last(0.1, 0.5)
            self.s3_server.stop()

    def _duplicate_deliveries(self) -> None:
        for job_id in self.list_unfinished():
            self.installation.app.send_task(DREAM_TASK, args=[job_id], task_id=job_id, queue=Lane.LIVE.value)

    def _drop_messages(self) -> None:
        for name in (name for lane in Lane for name in queue_keys(lane)):
            self.installation.client.rpop(name)

    def _submit_endless(self) -> None:
        """Send a dream that exceeds the time limit, and wait until it has ended."""
        job = self.submit_photo(self._hanging_recipe)
        self.installation.wait_until(
            lambda: self.submit_photos(JOBS_IN_FLIGHT) > 0 and job.id not in self.list_unfinished()
        )

    def _cancel_jobs(self) -> None:
        """Cancel two jobs, whether they wait or run."""
        for job_id in self.rng.sample(unfinished := self.list_unfinished(), min(2, len(unfinished))):
            self.installation.table.cancel(job_id)

    def _cancel_and_kill(self) -> None:
        """Cancel a job of which frames are in the store, and kill its worker before it notices."""
        job_id = self._wait_for(lambda: self.list_running()[-1:])
        holder = str(self.installation.client.hget(job_key(job_id), "holder") or "")
        self.installation.table.cancel(job_id)
        for worker in self.installation.workers:
            if any(holder.endswith(f"-{process.pid}") for process in worker.process_tree):
                self._kill_worker(worker)

    def _delete_dream(self) -> None:
        """Delete the newest dream, as the operator does at the console, while its clips are being made."""
        self._delete(self._wait_for(lambda: self.list_ended(State.COMPLETED)[-1:]))

    def _delete_without_store(self) -> None:
        """Delete a dream while the store is unavailable: its display deletes the objects later."""
        job_id = self._wait_for(lambda: self.list_ended(State.COMPLETED)[-1:])
        with self._stop_store(), suppress(ArtDreamError):
            self._delete(job_id)

    def _delete(self, job_id: str) -> None:
        index = DreamIndex()
        if sidecar := read_sidecar(self.installation.store, job_id):
            index.put(Dream.from_sidecar(sidecar))
            Moderation(self.installation.settings, index).delete(job_id)

    def _wait_for(self, find: Callable[[], list[str]]) -> str:
        """Return the job that a function finds, once it finds one."""
        self.installation.wait_until(lambda: self.submit_photos(JOBS_IN_FLIGHT) > 0 and bool(find()))
        return find()[0]


def main() -> None:
    """Run, print the report, and exit with status 1 if a job did not end as it must."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", action="store_true", help="the dreamer of the tests, and short times")
    arguments = parser.parse_args()
    options: dict[str, Any] = {"worker_command": worker_command(), "timing": SHORT_TIMING} if arguments.steps else {}
    with tempfile.TemporaryDirectory() as folder:
        chaos, started = ChaosRun(Path(folder), arguments.seed, **options), time.monotonic()
        try:
            outcomes = chaos.run(arguments.jobs, arguments.faults, arguments.minutes)
        finally:
            chaos.close()
            ARTIFACTS_FOLDER.mkdir(exist_ok=True)
            shutil.copy(chaos.installation.log, ARTIFACTS_FOLDER / "chaos-worker.log")
    publish_report(chaos.injected, outcomes, time.monotonic() - started)
    if not outcomes.are_clean:
        sys.exit(1)


if __name__ == "__main__":
    main()
