"""What the way around the dreams carries: many workers, long queues, many dreams a second.

The workers are real (Celery, broker, job table, store); only their dreamer sleeps for as long as a GPU dreams, and
publishes frames meanwhile where guests are waited for.

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
from tests.servers import make_valkey

#: Dreams of each worker in a round: enough that the last ones, when some have nothing left to do, do not count.
DREAMS_PER_WORKER = 16

#: Photos of a standing batch, and guests' photos that come in between, one a second.
BATCH_SIZE, GUEST_COUNT = 2000, 30

#: Jobs in the long queue.
QUEUE_LENGTH = 10_000

#: Dreams of no length.
PICTURE_COUNT = 1000


class ScaleInstallation:
    """A broker, a store, and workers that sleep."""

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
        """Have so many workers. guests: how many of them serve the live lane alone, and the others the batch lane."""
        command = [sys.executable, "-m", "benchmarks.scale", "--work", str(dream_seconds), "--frames", str(frames)]
        lanes = [
            [] if not live_only_count else ["--lane", "live" if n < live_only_count else "batch"] for n in range(count)
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
        """Wait for the ends of jobs; return when the first was started and when each ended (broker's clock)."""
        wanted, started, ended = {job.id for job in jobs}, float("inf"), dict[str, float]()
        reader = EventReader(self.client)
        while len(ended) < len(wanted):
            for recorded in reader.read(max_events=1000, wait_seconds=0.5):
                event = recorded.event
                if isinstance(event, Started) and event.job_id in wanted:
                    started = min(started, recorded.recorded_at)
                elif isinstance(event, (Completed, Failed)) and event.job_id in wanted:
                    ended[event.job_id] = recorded.recorded_at
        return started, ended

    def read_broker_time(self) -> float:
        """Return the broker's time."""
        seconds, micros = self.client.time()
        return seconds + micros / 1e6

    def clear_broker(self) -> None:
        """Forget everything but the photo."""
        self.client.flushall()

    def _count_ready_workers(self) -> int:
        return sum(
            one.part is Component.WORKER and one.state == "ready"
            for one in HeartbeatRegistry(self.client).list_heartbeats()
        )


def measure_workers(installation: ScaleInstallation, max_workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How many dreams a second so many workers make, of what they could."""
    for count in (1, 4, 16, 64):
        if count > max_workers:
            break
        with installation.running_workers(count, DREAM_SECONDS):
            jobs = [installation.submit() for _ in range(DREAMS_PER_WORKER * count)]
            started, ended = installation.wait_for_jobs(jobs)
        rate = len(jobs) / (max(ended.values()) - started)
        yield f"{count} workers, dreams/s", {"value": rate, "share of ideal": rate * DREAM_SECONDS / count}
        installation.clear_broker()


def measure_lanes(installation: ScaleInstallation, max_workers: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How long a guest waits while a batch stands, where workers serve both lanes and where guests have their own."""
    count = min(16, max_workers)
    for guests in (0, count // 4):
        with installation.running_workers(count, DREAM_SECONDS, FRAMES_PER_DREAM, live_only_count=guests):
            for _ in range(BATCH_SIZE):
                installation.submit()
            begun, live = dict[str, float](), []
            for _ in range(GUEST_COUNT):
                begun[(job := installation.submit(Lane.LIVE)).id] = installation.read_broker_time()
                live.append(job)
                time.sleep(1)
            _, ended = installation.wait_for_jobs(live)
        waits = [ended[job_id] - at for job_id, at in begun.items()]
        who = f"{guests} of {count} workers for guests" if guests else f"{count} workers for all"
        yield f"a guest beside a batch of {BATCH_SIZE}, {who}, s: median", {"value": percentile(waits, 0.5)}
        yield f"{who}: p95", {"value": percentile(waits, 0.95)}
        installation.clear_broker()


def measure_queue(installation: ScaleInstallation, _: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How fast jobs are submitted, and what the broker keeps of them."""
    before = installation.client.info("memory")["used_memory"]
    started = time.perf_counter()
    for _ in range(QUEUE_LENGTH):
        installation.submit()
    seconds = time.perf_counter() - started
    memory = installation.client.info("memory")["used_memory"] - before
    yield f"submits/s, {QUEUE_LENGTH} jobs", {"value": QUEUE_LENGTH / seconds}
    yield f"broker memory of {QUEUE_LENGTH} waiting jobs, MB", {"value": memory / 1e6}
    installation.clear_broker()


def measure_pictures(installation: ScaleInstallation, _: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """How many real pictures a second go through where dreaming takes no time."""
    with installation.running_workers(2, 0.0):
        jobs = [installation.submit() for _ in range(PICTURE_COUNT)]
        started, ended = installation.wait_for_jobs(jobs)
    yield "2 workers, pictures/s, no dreaming", {"value": len(jobs) / (max(ended.values()) - started)}
    installation.clear_broker()


SECTIONS = {
    "workers": measure_workers,
    "lanes": measure_lanes,
    "queue": measure_queue,
    "pictures": measure_pictures,
}


def main() -> None:
    """Measure, or be one of the workers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", choices=[*SECTIONS, []], default=[])
    parser.add_argument("--most", type=int, default=64)
    parser.add_argument("--work", type=float)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--lane", type=Lane, action="append")
    chosen = parser.parse_args()
    if chosen.work is not None:
        from worker.app import run

        run(
            Settings.read(),
            lanes=chosen.lane or tuple(Lane),
            make_dreamer=lambda _: SleepingDreamer(chosen.work, chosen.frames),
        )
        return
    figures: dict[str, Any] = {}
    with make_valkey() as server, tempfile.TemporaryDirectory() as folder:
        hall = ScaleInstallation(Path(folder), f"{server.connection_url}/0")
        for part in chosen.parts or SECTIONS:
            for name, facts in SECTIONS[part](hall, chosen.most):
                figures[name] = facts
                print(name, facts, flush=True)
    rows = [
        (name, f"{facts['value']:.2f}", f"{facts['share of ideal']:.1%}" if "share of ideal" in facts else "")
        for name, facts in figures.items()
    ]
    publish("scale", ("figure", "", "of ideal"), rows, {"figures": figures})


if __name__ == "__main__":
    main()
