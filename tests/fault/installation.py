"""An installation for fault injection: a persistent broker, a store, and workers as processes of their own."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import redis
from celery import Celery
from redis.exceptions import ResponseError

from producer.decoding.convert import convert
from shared.broker.client import BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.events import STREAM_START_ID, Completed, Event, EventReader, Failed, Progress, Started, _JobEvent
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import create_celery_app, submit
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.monitoring.usage_counts import Counted, read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.storage.object_names import dream_name, photo_name, sidecar_name
from shared.storage.store import Store
from tests.dreamer import HELD, hold_dreams, release_dreams
from tests.pictures import encode_jpeg, make_picture
from tests.recipes import write_recipe
from tests.servers import Valkey
from tests.waiting import wait_until
from tests.worker_process import worker_command

JobEvent = TypeVar("JobEvent", bound=_JobEvent)


class WorkerProcess:
    """One `artdream worker`: its parent process and its children."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid

    @property
    def process_tree(self) -> list[psutil.Process]:
        """The parent and its children."""
        try:
            parent = psutil.Process(self.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @property
    def pool_process(self) -> psutil.Process:
        """The pool process, which processes the jobs."""
        return psutil.Process(self.pid).children()[0]

    def kill(self) -> None:
        """Kill the parent and all children at once, as a power cut does."""
        processes = self.process_tree
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=10)
        self.process.wait()


class FaultInstallation:
    """A broker, a store and workers in one folder, and methods that break them."""

    def __init__(self, folder: Path, **overrides: object) -> None:
        """overrides: settings that replace the defaults, by name."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.short_recipe = load_recipe(str(write_recipe(folder, "short")))
        #: Long enough that a fault probably hits it.
        self.long_recipe = load_recipe(str(write_recipe(folder, "long", steps=100, size=512)))
        #: Its dreams last until `release_dreams`, so that a fault hits them for certain.
        self.held_recipe = load_recipe(str(write_recipe(folder, HELD)))
        self.broker = Valkey(data_dir=folder / "broker")
        self.broker.start()
        self.port = self.broker.port
        defaults = {
            "data": folder / "data",
            "broker_url": self.broker.url,
            "recipe": folder / "short.toml",
            "clips": False,
        }
        texts: dict[str, Any] = {name: str(value) for name, value in (defaults | overrides).items()}
        self.settings = Settings(**texts, _env_file=None)
        self.store = Store(self.settings.store)
        self.client = connect(self.settings.broker)
        self.table = JobTable(self.client)
        self.app: Celery = create_celery_app(self.settings)
        self.workers: list[WorkerProcess] = []
        self.log = folder / "worker.log"
        self.events: list[Event] = []
        self.jobs: dict[str, Job] = {}
        self._reader = EventReader(self.client, STREAM_START_ID)

    def find_broker_process(self) -> psutil.Process:
        """Return the process of the running broker."""
        return psutil.Process(self.client.info("server")["process_id"])

    def wipe_broker(self) -> None:
        """Replace the broker with one that knows nothing; what became of earlier jobs cannot be verified any more."""
        self.jobs.clear()
        self.events.clear()
        self.broker.stop()
        shutil.rmtree(self.folder / "broker")
        (self.folder / "broker").mkdir()
        self.broker.start()

    @contextmanager
    def prevent_saving(self) -> Iterator[None]:
        """Let the broker fail to save its data, after which it takes no writes (MISCONF), as if its disk were full."""
        obstacle = self.folder / "broker" / "dump.rdb"
        obstacle.unlink(missing_ok=True)
        obstacle.mkdir()
        self.client.config_set("save", "3600 1")
        with suppress(ResponseError):
            self.client.execute_command("SAVE")
        self.client.execute_command("BGSAVE")
        self.wait_until(lambda: self.client.info("persistence")["rdb_last_bgsave_status"] == "err")
        yield
        obstacle.rmdir()
        with redis.Redis(port=self.port) as admin:  # ArtDream's client would first be refused a PING
            admin.config_set("save", "")

    def start_worker(
        self,
        *,
        broker_port: int | None = None,
        wait: bool = True,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **overrides: object,
    ) -> WorkerProcess:
        """Start a worker; by default wait until it is ready for a job.

        broker_port: port of a proxy of the broker
        command: command line; by default that of a worker with the tests' dreamer and short times
        environment: additional environment variables
        overrides: settings that differ from the installation's
        """
        settings = self.settings.model_copy(update=overrides).to_environment()
        if broker_port:
            settings["ARTDREAM_BROKER_URL"] = self.settings.broker.replace(f":{self.port}/", f":{broker_port}/")
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command or worker_command(),
                env={**os.environ, **settings, **(environment or {})},
                stdout=log,
                stderr=log,
            )
        worker = WorkerProcess(process)
        self.workers.append(worker)
        if wait:
            self.wait_until(lambda: self.is_warm(worker))
        return worker

    def is_warm(self, worker: WorkerProcess) -> bool:
        """Return whether a worker has a process that is ready for a job."""
        pids = {process.pid for process in worker.process_tree}
        return any(pid in pids for pid in self.list_ready_processes())

    def list_ready_processes(self) -> list[int]:
        """Return the ids of the processes that are ready for a job."""
        heartbeats = HeartbeatRegistry(self.client).list_heartbeats()
        return [
            int(heartbeat.name.rpartition("-")[2])
            for heartbeat in heartbeats
            if heartbeat.part is Component.WORKER and heartbeat.state == "ready"
        ]

    def store_photo(self, seed: int) -> Job:
        """Store a photo and return its job, which is not submitted."""
        photo = convert(encode_jpeg(make_picture(seed)))
        self.store.put(photo_name(photo.photo_id), photo.jpeg)
        return Job(photo_id=photo.photo_id, recipe=self.short_recipe)

    def submit(self, seed: int, recipe: Recipe | None = None, lane: Lane = Lane.LIVE) -> Job:
        """Store a photo and submit its job to a lane."""
        job = self.store_photo(seed).model_copy(update={"recipe": recipe or self.short_recipe, "lane": lane})
        submit(self.app, self.table, job)
        self.jobs[job.id] = job
        return job

    def start_held_job(self, seed: int) -> Job:
        """Submit a job whose dream lasts until `release_dreams`, and return it once it is being dreamt."""
        hold_dreams(self.settings.data)
        job = self.submit(seed, self.held_recipe)
        self.wait_until(lambda: bool(self.events_of(job, Progress)))
        return job

    def release_dreams(self) -> None:
        """End the held dreams."""
        release_dreams(self.settings.data)

    def wait_until(self, condition: Callable[[], bool]) -> float:
        """Read events until a condition holds; return the seconds that took."""
        return wait_until(
            lambda: self._check(condition), "what is waited for", explain=lambda: self.log.read_text()[-5000:]
        )

    def _check(self, condition: Callable[[], bool]) -> bool:
        try:
            self.events += [recorded.event for recorded in self._reader.read(max_events=1000, wait_seconds=0.1)]
            return condition()
        except (ArtDreamError, *BROKER_UNAVAILABLE):  # the broker is unavailable
            return False

    def events_of(self, job: Job, kind: type[JobEvent]) -> list[JobEvent]:
        """Return the events of one type of a job, oldest first."""
        return [event for event in self.events if isinstance(event, kind) and event.job_id == job.id]

    def is_started(self, job: Job) -> bool:
        """Return whether a job was started."""
        return bool(self.events_of(job, Started))

    def is_ended(self, job: Job) -> bool:
        """Return whether a job was completed or failed."""
        return bool(self.events_of(job, Completed) or self.events_of(job, Failed))

    def verify_outcomes(self) -> None:
        """Assert that every job ended once, not by a fault of the worker, and that every dream has a sidecar."""
        end_counts = Counter(event.job_id for event in self.events if isinstance(event, (Completed, Failed)))
        for job_id in self.jobs:
            state = self.table.get_state(job_id)
            assert end_counts[job_id] == 1, f"job {job_id} ended {end_counts[job_id]} times; it is {state}"
            if state is State.COMPLETED:
                assert self.store.get(sidecar_name(job_id))
                assert self.store.get(dream_name(job_id))
            else:
                assert state is State.FAILED
        assert not [e for e in self.events if isinstance(e, Failed) and e.reason.startswith("The worker met a fault")]
        self.verify_counts()

    def verify_counts(self) -> None:
        """Assert that the usage counts have each end of a job once, whatever was killed meanwhile."""
        counts = merge_counts(read_usage_counts(self.client, self.store, 0, 2**31).values())
        for kind, event_type in ((Counted.COMPLETED, Completed), (Counted.FAILED, Failed)):
            counted = sum(number for name, number in counts.items() if name.startswith(f"{kind}|"))
            ended = [event.job_id for event in self.events if isinstance(event, event_type)]
            assert counted == len(ended), f"{kind}: {counts}, events of {ended}"

    def close(self) -> None:
        """Kill all workers and stop the broker."""
        for worker in self.workers:
            for process in worker.process_tree:
                process.kill()
            worker.process.wait()
        self.app.close()
        self.client.close()
        self.broker.stop()
