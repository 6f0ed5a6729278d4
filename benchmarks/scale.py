"""Throughput of everything around the dreams: many workers, long queues, many dreams per second.

The workers are real (Celery, broker, job table, store); only their dreamer sleeps for as long as a GPU renders, and
emits frames meanwhile in the `lanes` section.

    make bench-scale [ARGS="workers lanes queue pictures --most 64"]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import percentile, publish
from benchmarks.sleeping_dreamer import DREAM_SECONDS, FRAMES_PER_DREAM, SleepingDreamer
from producer.decoding.convert import convert
from shared.broker.client import connect
from shared.jobs.events import Completed, EventReader, Failed, Started
from shared.jobs.job import Job, Lane
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.storage.object_names import photo_name
from shared.storage.store import Store
from tests.pictures import encode_jpeg, make_picture
from tests.servers import Valkey

#: Dreams of each worker in a round: enough that the end, when some workers are idle, does not matter.
DREAMS_PER_WORKER = 16

#: Photos of a queued batch, and guests' photos that arrive meanwhile, one per second.
BATCH_SIZE, GUEST_COUNT = 2000, 30

#: Jobs in the queue of the `queue` section.
QUEUE_LENGTH = 10_000

#: Dreams of zero seconds in the `pictures` section.
PICTURE_COUNT = 1000


class ScaleInstallation:
    """A broker, a store, and workers with a SleepingDreamer."""

    def __init__(self, folder: Path, url: str) -> None:
        self.settings = Settings(data=folder, broker_url=url, clips=False, recipe="lines", _env_file=None)
        self.client = connect(url)
        self.table = JobTable(self.client)
        self.app = create_celery_app(self.settings)
        self.store = Store(self.settings.store)
        self.recipe = load_recipe("lines")
        data = convert(encode_jpeg(make_picture(0, (640, 480))))
        self.store.put(photo_name(data.photo_id), data.jpeg)
        self.photo_id = data.photo_id
        self._seeds = iter(range(10**9))

    @contextmanager
    def running_workers(
        self, count: int, dream_seconds: float, frames: int = 0, *, live_only_count: int = 0
    ) -> Iterator[None]:
        """Run `count` workers, and stop them at the end.

        live_only_count: workers for the live lane only, while the others serve the batch lane; 0: all serve both.
        """
        command = [sys.executable, "-m", "benchmarks.scale", "--work", str(dream_seconds), "--frames", str(frames)]
        lanes = [
            [] if not live_only_count else ["--lane", "live" if index < live_only_count else "batch"]
            for index in range(count)
        ]
        environment = {**os.environ, **self.settings.to_environment()}
        with (self.settings.data / "workers.log").open("ab") as log:
            processes = [subprocess.Popen([*command, *lane], env=environment, stdout=log, stderr=log) for lane in lanes]
        try:
            while self._count_ready_workers() < count:
                time.sleep(0.5)
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()

    def submit(self, lane: Lane = Lane.BATCH) -> Job:
        """Submit one job."""
        job = Job(photo_id=self.photo_id, recipe=self.recipe, seed=next(self._seeds), lane=lane)
        submit(self.app, self.table, job)
        return job

    def wait_for_jobs(self, jobs: list[Job]) -> tuple[float, dict[str, float]]:
        """Wait until jobs have ended; return the start of the first and the end of each (broker's clock)."""
        job_ids, first_started_at, ended_at = {job.id for job in jobs}, float("inf"), dict[str, float]()
        reader = EventReader(self.client)
        while len(ended_at) < len(job_ids):
            for recorded in reader.read(max_events=1000, wait_seconds=0.5):
                event = recorded.event
                if isinstance(event, Started) and event.job_id in job_ids:
                    first_started_at = min(first_started_at, recorded.recorded_at)
                elif isinstance(event, (Completed, Failed)) and event.job_id in job_ids:
                    ended_at[event.job_id] = recorded.recorded_at
        return first_started_at, ended_at

    def read_broker_time(self) -> float:
        """Return the broker's time, in epoch seconds."""
        seconds, micros = self.client.time()
        return seconds + micros / 1e6

    def clear_broker(self) -> None:
        """Delete everything in the broker; the photo stays in the store."""
        self.client.flushall()

    def _count_ready_workers(self) -> int:
        return sum(
            heartbeat.part is Component.WORKER and heartbeat.state == "ready"
            for heartbeat in HeartbeatRegistry(self.client).list_heartbeats()
        )


def measure_workers(installation: ScaleInstallation, max_workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the dreams per second of different numbers of workers, and their share of the ideal."""
    for count in (1, 4, 16, 64):
        if count > max_workers:
            break
        with installation.running_workers(count, DREAM_SECONDS):
            jobs = [installation.submit() for _ in range(DREAMS_PER_WORKER * count)]
            first_started_at, ended_at = installation.wait_for_jobs(jobs)
        rate = len(jobs) / (max(ended_at.values()) - first_started_at)
        yield f"{count} workers, dreams/s", {"value": rate, "share of ideal": rate * DREAM_SECONDS / count}
        installation.clear_broker()


def measure_lanes(installation: ScaleInstallation, max_workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the waiting time of guests during a batch, with workers for both lanes and with separate workers."""
    count = min(16, max_workers)
    for live_only_count in (0, count // 4):
        with installation.running_workers(count, DREAM_SECONDS, FRAMES_PER_DREAM, live_only_count=live_only_count):
            for _ in range(BATCH_SIZE):
                installation.submit()
            submitted_at, live_jobs = dict[str, float](), []
            for _ in range(GUEST_COUNT):
                submitted_at[(job := installation.submit(Lane.LIVE)).id] = installation.read_broker_time()
                live_jobs.append(job)
                time.sleep(1)
            _, ended_at = installation.wait_for_jobs(live_jobs)
        waits = [ended_at[job_id] - submit_time for job_id, submit_time in submitted_at.items()]
        workers = f"{live_only_count} of {count} workers for guests" if live_only_count else f"{count} workers for all"
        yield f"a guest beside a batch of {BATCH_SIZE}, {workers}, s: median", {"value": percentile(waits, 0.5)}
        yield f"{workers}: p95", {"value": percentile(waits, 0.95)}
        installation.clear_broker()


def measure_queue(installation: ScaleInstallation, _: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the submission rate, and the broker's memory of queued jobs."""
    memory_before = installation.client.info("memory")["used_memory"]
    started_at = time.perf_counter()
    for _ in range(QUEUE_LENGTH):
        installation.submit()
    seconds = time.perf_counter() - started_at
    memory = installation.client.info("memory")["used_memory"] - memory_before
    yield f"submits/s, {QUEUE_LENGTH} jobs", {"value": QUEUE_LENGTH / seconds}
    yield f"broker memory of {QUEUE_LENGTH} waiting jobs, MB", {"value": memory / 1e6}
    installation.clear_broker()


def measure_pictures(installation: ScaleInstallation, _: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the pictures per second with dreams that take no time."""
    with installation.running_workers(2, 0.0):
        jobs = [installation.submit() for _ in range(PICTURE_COUNT)]
        first_started_at, ended_at = installation.wait_for_jobs(jobs)
    yield "2 workers, pictures/s, no dreaming", {"value": len(jobs) / (max(ended_at.values()) - first_started_at)}
    installation.clear_broker()


SECTIONS = {
    "workers": measure_workers,
    "lanes": measure_lanes,
    "queue": measure_queue,
    "pictures": measure_pictures,
}


def main() -> None:
    """Measure and publish, or with --work run as one of the workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[*SECTIONS, []], default=[])
    parser.add_argument("--most", type=int, default=64)
    parser.add_argument("--work", type=float)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--lane", type=Lane, action="append")
    arguments = parser.parse_args()
    if arguments.work is not None:
        from worker.app import run

        run(
            Settings.read(),
            lanes=arguments.lane or tuple(Lane),
            make_dreamer=lambda _: SleepingDreamer(arguments.work, arguments.frames),
        )
        return
    figures: dict[str, Any] = {}
    with Valkey() as server, tempfile.TemporaryDirectory() as folder:
        installation = ScaleInstallation(Path(folder), f"{server.connection_url}/0")
        for section in arguments.parts or SECTIONS:
            for name, facts in SECTIONS[section](installation, arguments.most):
                figures[name] = facts
                print(name, facts, flush=True)
    rows = [
        (name, f"{facts['value']:.2f}", f"{facts['share of ideal']:.1%}" if "share of ideal" in facts else "")
        for name, facts in figures.items()
    ]
    publish("scale", ("figure", "", "of ideal"), rows, {"figures": figures})


if __name__ == "__main__":
    main()
