"""Chaos test: inject random faults into a whole installation at work, and count the outcomes of its jobs.

    python -m tests.fault.chaos [--jobs 300] [--faults 60] [--minutes 30] [--seed 0]

Guests' photos pass through a real inbox, producer, broker, bucket, workers and display. They alternate with photos of a
batch, which is processed in batch runs and is preempted by guests' photos. Faults are injected one after another: each
kills, stops, cuts off, wipes or corrupts something, and ends before the next.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from producer.decoding.convert import convert
from producer.outbox.submission import SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.jobs.events import Completed, Failed
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import DREAM_TASK, count_all_queued, queue_keys
from shared.storage.object_names import dream_name, sidecar_name
from shared.timing import DEFAULT_TIMING, Timing
from tests.fault.chaos_report import ChaosReport, InjectedFault, publish_report
from tests.fault.faulty_proxy import FaultyProxy, LinkState
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server
from tests.stack import free_port
from tests.waiting import WAIT_TIMEOUT_SECONDS

#: Unfinished jobs at any time, so that every component is busy when a fault hits it.
JOBS_IN_FLIGHT = 6


class ChaosRun:
    """An installation, and the faults that are injected into it."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        worker_command: Sequence[str] = (sys.executable, "-m", "artdream", "worker"),
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """timing: the times of the workers that `worker_command` starts; a fault lasts as long as about one lease."""
        self._worker_command, self._lease_seconds = worker_command, timing.lease_seconds
        self.rng = random.Random(seed)
        self.report = ChaosReport()
        self.s3_server = S3Server(folder / "s3")
        self.s3_server.start()
        self.store_proxy = FaultyProxy(self.s3_server.port)
        self._original_environment = dict(os.environ)
        os.environ.update(self.s3_server.environment)
        (folder / "inbox").mkdir()
        # The photo's content chooses the recipe: half of the jobs are long enough to be hit while they run.
        recipes = f"{folder}/site/short.toml, {folder}/site/long.toml"
        self.installation = FaultInstallation(
            folder / "site",
            store_url=self.s3_server.url,
            inbox=folder / "inbox",
            recipe=recipes,
            grace_seconds=1.0,
            together=2,
            clips=True,
        )
        self.batch_submission = SubmissionClient(
            self.installation.settings.model_copy(update={"data": folder / "batch"})
        )
        self.recipe_choice = RecipeChoice(self.installation.settings, self.installation.client)
        self.worker_proxy, self.producer_proxy = (
            FaultyProxy(self.installation.port),
            FaultyProxy(self.installation.port),
        )
        self.producer = self._start_component("watch")
        self.display = self._start_component("display", "--port", str(free_port()))
        self._broker_generation = 0  # incremented when the broker is wiped
        self._end_counts: Counter[tuple[int, str]] = Counter()
        self._submitted_jobs: dict[str, Job] = {}
        for _ in range(2):
            self._start_worker()
        self.faults: dict[str, Callable[[], None]] = {
            "kill a dreaming process": self._kill_child,
            "kill a worker with all its processes": self._kill_tree,
            "kill a worker's parent alone": self._kill_parent,
            "freeze a worker for longer than a lease": self._suspend_worker,
            "stop a worker by SIGTERM": self._terminate_worker,
            "kill the producer": self._kill_producer,
            "kill the display": self._kill_display,
            "kill the broker": self._kill_broker,
            "stop the broker": self._suspend_broker,
            "pause the broker": self._pause_broker,
            "wipe the broker": self._wipe_broker,
            "cut the workers' link": lambda: self._disturb_link(self.worker_proxy, LinkState.CUT),
            "silence the workers' link": lambda: self._disturb_link(self.worker_proxy, LinkState.SILENT),
            "leave the workers' connections half open": lambda: self._disturb_link(
                self.worker_proxy, LinkState.HALF_OPEN
            ),
            "cut the producer's link": lambda: self._disturb_link(self.producer_proxy, LinkState.CUT),
            "silence the producer's link": lambda: self._disturb_link(self.producer_proxy, LinkState.SILENT),
            "kill the store": self._kill_store,
            "cut the link to the store": lambda: self._disturb_link(self.store_proxy, LinkState.CUT),
            "bend what the store sends": lambda: self._disturb_link(self.store_proxy, LinkState.CORRUPTING),
            "deliver a job twice": self._duplicate_deliveries,
            "lose a message": self._drop_messages,
        }

    def run(self, jobs: int, faults: int, minutes: float) -> ChaosReport:
        """Submit photos and inject faults up to the given numbers; return the report once all jobs have ended.

        jobs, faults: least number of photos and of faults. minutes: least length of the run.
        """
        started, names = time.monotonic(), []
        while (
            len(self._submitted_jobs) < jobs
            or len(self.report.faults) < faults
            or time.monotonic() - started < 60 * minutes
        ):
            self._submit_photos()
            if len(self.report.faults) >= faults and not minutes:
                self._read_events()
                continue
            if not names:
                names = self.rng.sample(list(self.faults), len(self.faults))
            self._inject_fault(names.pop())
        self.installation.wait_until(lambda: not self._submit_photos(0) and not self._list_unfinished())
        self.installation.wait_until(self._is_idle)  # what was delivered twice could still end twice
        self._read_events()
        self._count_outcomes()
        return self.report

    def close(self) -> None:
        """Kill all processes and restore the environment."""
        for process in (self.producer, self.display):
            process.kill()
            process.wait()
        self.batch_submission.close()
        self.installation.close()
        for proxy in (self.worker_proxy, self.producer_proxy, self.store_proxy):
            proxy.close()
        self.s3_server.stop()
        os.environ.clear()
        os.environ.update(self._original_environment)

    def _inject_fault(self, name: str) -> None:
        self.installation.wait_until(lambda: len(self._list_unfinished()) > 0 or self._submit_photos() > 0)
        self.faults[name]()
        ended_before, started = sum(self._end_counts.values()), time.monotonic()
        self._restart_ended()
        self.installation.wait_until(
            lambda: self._submit_photos() > 0 and sum(self._end_counts.values()) > ended_before
        )
        fault = InjectedFault(name, time.monotonic() - started)
        self.report.faults.append(fault)
        print(f"{len(self.report.faults):3} {name}: {fault.recovery_seconds:.1f} s", flush=True)  # noqa: T201

    def _restart_ended(self) -> None:
        """Restart ended processes, as a supervisor does."""
        if self.producer.poll() is not None:
            self.producer = self._start_component("watch")
        if self.display.poll() is not None:
            self.display = self._start_component("display", "--port", str(free_port()))
        self._retry(self.batch_submission.resubmit_lost_jobs)  # as running the same `artdream send` again does
        for worker in [worker for worker in self.installation.workers if worker.process.poll() is not None]:
            self.installation.workers.remove(worker)
            self._start_worker()

    def _submit_photos(self, target_in_flight: int = JOBS_IN_FLIGHT) -> int:
        """Submit photos of guests and of a batch in turn until enough jobs are unfinished; return their number."""
        self._read_events()
        while (count := len(self._list_unfinished())) < target_in_flight:
            number = len(self._submitted_jobs)
            data = encode_jpeg(make_picture(number))
            photo = convert(data)
            lane = Lane.BATCH if number % 2 else Lane.LIVE
            job = Job(photo_id=photo.photo_id, recipe=self.recipe_choice.choose_recipe(photo.photo_id), lane=lane)
            self._submitted_jobs[job.id] = job
            if lane is Lane.LIVE:
                (self.installation.settings.inbox / f"{number}.jpg").write_bytes(data)
            else:
                self._retry(lambda job=job, photo=photo: self.batch_submission.submit(job, photo.jpeg))
        return count

    def _retry(self, action: Callable[[], object]) -> None:
        """Retry an action while store or broker is unavailable, as `artdream send` does."""
        while True:
            try:
                action()
            except Unavailable:
                time.sleep(0.2)
            else:
                return

    def _list_unfinished(self) -> list[str]:
        ended_job_ids = {job_id for _, job_id in self._end_counts}
        return [job_id for job_id in self._submitted_jobs if job_id not in ended_job_ids]

    def _is_idle(self) -> bool:
        return not count_all_queued(self.installation.client) and not self.installation.table.list_leased()

    def _read_events(self) -> None:
        self.installation.wait_until(lambda: True)
        for event in self.installation.events:
            if isinstance(event, (Completed, Failed)):
                self._end_counts[self._broker_generation, event.job_id] += 1
        self.installation.events.clear()

    def _count_outcomes(self) -> None:
        report, table, store = self.report, self.installation.table, self.installation.store
        report.jobs = len(self._submitted_jobs)
        for job_id in self._submitted_jobs:
            state = table.get_state(job_id)
            has_dream = store.get(dream_name(job_id)) is not None and store.get(sidecar_name(job_id)) is not None
            if state is State.FAILED and not has_dream:
                report.failed += 1
            elif has_dream and any(id_ == job_id for _, id_ in self._end_counts):
                report.completed += 1
            else:
                report.lost_jobs.append(job_id)
        report.completed_twice = [job_id for (_, job_id), count in self._end_counts.items() if count > 1]

    def _start_component(self, *command: str) -> "subprocess.Popen[bytes]":
        settings = self.installation.settings.to_environment()
        if command[0] == "watch":
            proxy_port = f":{self.producer_proxy.port}/"
            settings["ARTDREAM_BROKER_URL"] = self.installation.settings.broker.replace(
                f":{self.installation.port}/", proxy_port
            )
        with (self.installation.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "artdream", *command],
                env={**self._process_environment(), **settings},
                stdout=log,
                stderr=log,
            )

    def _process_environment(self) -> dict[str, str]:
        return {**os.environ, "AWS_ENDPOINT": f"http://127.0.0.1:{self.store_proxy.port}"}

    def _start_worker(self) -> None:
        self.installation.start_worker(
            broker_port=self.worker_proxy.port,
            wait=False,
            command=self._worker_command,
            environment={"AWS_ENDPOINT": f"http://127.0.0.1:{self.store_proxy.port}"},
        )

    def _pick_worker(self) -> WorkerProcess:
        """Return a random worker that has a pool process, once there is one."""

        def list_busy_workers() -> list[WorkerProcess]:
            return [worker for worker in self.installation.workers if len(worker.process_tree) > 1]

        self.installation.wait_until(lambda: bool(list_busy_workers()))
        return self.rng.choice(list_busy_workers())

    def _kill_child(self) -> None:
        self._pick_worker().pool_process.kill()

    def _kill_tree(self) -> None:
        self._pick_worker().kill()

    def _kill_parent(self) -> None:
        self._pick_worker().process.kill()

    def _suspend_worker(self) -> None:
        processes = self._pick_worker().process_tree
        for process in processes:
            process.suspend()
        time.sleep(1.3 * self._lease_seconds)
        for process in processes:
            process.resume()

    def _terminate_worker(self) -> None:
        worker = self._pick_worker()
        worker.process.terminate()
        worker.process.wait(WAIT_TIMEOUT_SECONDS)

    def _choose_duration(self, least: float, most: float) -> float:
        """Return the seconds that a fault lasts. least, most: as multiples of a lease."""
        return self._lease_seconds * self.rng.uniform(least, most)

    def _kill_producer(self) -> None:
        self.producer.kill()
        self.producer.wait()

    def _kill_display(self) -> None:
        self.display.kill()
        self.display.wait()

    def _kill_broker(self) -> None:
        self.installation.broker.stop()
        time.sleep(self._choose_duration(0, 0.3))
        self.installation.broker.start()

    def _suspend_broker(self) -> None:
        process = self.installation.find_broker_process()
        process.suspend()
        time.sleep(self._choose_duration(0.3, 1.3))
        process.resume()

    def _pause_broker(self) -> None:
        seconds = self._choose_duration(0.3, 1.3)
        self.installation.client.execute_command("CLIENT", "PAUSE", int(1000 * seconds), "ALL")

    def _wipe_broker(self) -> None:
        self._read_events()
        self._broker_generation += 1
        self.installation.wipe_broker()

    def _disturb_link(self, proxy: FaultyProxy, state: LinkState) -> None:
        proxy.state = state
        time.sleep(self._choose_duration(0.2, 0.8))
        proxy.state = LinkState.HEALTHY

    def _kill_store(self) -> None:
        self.s3_server.stop()
        time.sleep(self._choose_duration(0.1, 0.5))
        self.s3_server.start()

    def _duplicate_deliveries(self) -> None:
        for job_id in self._list_unfinished():
            self.installation.app.send_task(DREAM_TASK, args=[job_id], task_id=job_id, queue=Lane.LIVE.value)

    def _drop_messages(self) -> None:
        for name in (name for lane in Lane for name in queue_keys(lane)):
            self.installation.client.rpop(name)


def main() -> None:
    """Run, print the report, and exit with status 1 if a job was lost or completed twice."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chaos, started = ChaosRun(Path(folder), arguments.seed), time.monotonic()
        try:
            report = chaos.run(arguments.jobs, arguments.faults, arguments.minutes)
        finally:
            chaos.close()
            shutil.copy(chaos.installation.log, "artefacts/chaos-worker.log")
    publish_report(report, time.monotonic() - started)
    if report.lost_jobs or report.completed_twice:
        sys.exit(1)


if __name__ == "__main__":
    main()
