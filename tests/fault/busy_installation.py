"""A whole installation at work: photos of guests and of a batch, and the outcomes of their jobs.

Guests' photos pass through a real inbox, producer, broker, bucket, workers and display. They alternate with photos of a
batch, which is processed in batch runs and is preempted by guests' photos.
"""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from producer.decoding.convert import convert
from producer.outbox.outbox import OUTBOX_FOLDER_NAME
from producer.outbox.submission import SubmissionClient, Unavailable
from producer.recipe_choice import RecipeChoice
from shared.jobs.events import Cancelled, Completed, Deleted, Failed, Progress
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_all_queued
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.recipe import Recipe
from shared.storage.deletion import has_tombstone
from shared.storage.object_names import (
    DREAMS_PREFIX,
    dream_name,
    dream_prefix,
    photo_name,
    sidecar_name,
    working_photo_name,
)
from tests.fault.faulty_proxy import FaultyProxy
from tests.fault.installation import FaultInstallation
from tests.fault.outcomes import Outcomes
from tests.pictures import encode_jpeg, make_picture
from tests.servers import S3Server, is_listening
from tests.stack import free_port
from tests.waiting import wait_until

#: Seconds after which a dream fails: more than any takes that does not hang, on two cores beside other work.
TIME_LIMIT_SECONDS = 30

#: kombu's hash of the messages that workers have taken and not acknowledged, also those of killed workers for a while.
UNACKNOWLEDGED_KEY = "unacked"


class BusyInstallation:
    """An installation with two workers, a producer and a display, whose links lead through proxies."""

    def __init__(
        self, folder: Path, *, worker_command: Sequence[str] = (sys.executable, "-m", "artdream", "worker")
    ) -> None:
        """Start all components on a folder. worker_command: command line of a worker."""
        self._worker_command = worker_command
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
            time_limit_seconds=TIME_LIMIT_SECONDS,
        )
        self.batch_submission = SubmissionClient(
            self.installation.settings.model_copy(update={"data": folder / "batch"})
        )
        self.recipe_choice = RecipeChoice(self.installation.settings, self.installation.client)
        self.worker_proxy, self.producer_proxy = (
            FaultyProxy(self.installation.port),
            FaultyProxy(self.installation.port),
        )
        self.submitted_jobs: dict[str, Job] = {}
        self.outcomes = Outcomes()
        #: Components that were killed or stopped on purpose.
        self.killed_pids: set[int] = set()
        #: Completed, failed and cancelled jobs, and how often each of them ended. A wiped broker counts from nothing.
        self.end_counts: Counter[tuple[int, str]] = Counter()
        self.broker_generation = 0
        self._last_ends: dict[str, State] = {}  # in order
        self._last_frames: dict[str, None] = {}  # jobs of which a frame is in the store, in order
        self._reasons: dict[str, str] = {}
        self.producer = self.start_component("watch")
        self.start_display()
        for _ in range(2):
            self.start_worker()

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

    def wait_until_warm(self) -> None:
        """Wait until every worker is ready for a job."""
        self.installation.wait_until(lambda: all(map(self.installation.is_warm, self.installation.workers)))

    def submit_photos(self, target_in_flight: int) -> int:
        """Submit photos of guests and of a batch in turn until enough jobs are unfinished; return their number."""
        self.read_events()
        while (count := len(self.list_unfinished())) < target_in_flight:
            self.submit_photo()
        return count

    def submit_photo(self, recipe: Recipe | None = None) -> Job:
        """Submit the next photo: of a guest and of a batch in turn, or of a batch with a recipe of its own."""
        number = len(self.submitted_jobs)
        data = encode_jpeg(make_picture(number))
        photo = convert(data)
        lane = Lane.BATCH if number % 2 or recipe else Lane.LIVE
        chosen = recipe or self.recipe_choice.choose_recipe(photo.photo_id).recipe
        job = Job(photo_id=photo.photo_id, recipe=chosen, lane=lane)
        self.submitted_jobs[job.id] = job
        if lane is Lane.LIVE:
            (self.installation.settings.inbox / f"{number}.jpg").write_bytes(data)
        else:
            self.retry(lambda: self.batch_submission.submit(job, photo.jpeg))
        return job

    def retry(self, action: Callable[[], object]) -> None:
        """Retry an action while store or broker is unavailable, as `artdream send` does."""
        while True:
            try:
                action()
            except Unavailable:
                time.sleep(0.2)
            else:
                return

    def list_unfinished(self) -> list[str]:
        """Return the ids of the jobs that have not ended, oldest first."""
        return [job_id for job_id in self.submitted_jobs if job_id not in self._last_ends]

    def list_running(self) -> list[str]:
        """Return the ids of the unfinished jobs of which a frame is in the store; the one with the newest is last."""
        return [job_id for job_id in self._last_frames if job_id not in self._last_ends]

    def list_ended(self, state: State) -> list[str]:
        """Return the ids of the jobs that ended in a state; the one that ended last is last."""
        return [job_id for job_id, end in self._last_ends.items() if end is state]

    def read_events(self) -> None:
        """Count the jobs that have ended since the last call. Waits while the broker is unavailable."""
        self.installation.wait_until(lambda: True)
        for event in self.installation.events:
            match event:
                case Progress():
                    self._last_frames.pop(event.job_id, None)
                    self._last_frames[event.job_id] = None
                case Completed() | Failed() | Cancelled():
                    self.end_counts[self.broker_generation, event.job_id] += 1
                    self._record_end(event.job_id, State(event.type))
                case Deleted():
                    self._record_end(event.job_id, State.DELETED)
            if isinstance(event, Failed):
                self._reasons[event.job_id] = event.reason
        self.installation.events.clear()

    def _record_end(self, job_id: str, state: State) -> None:
        self._last_ends.pop(job_id, None)
        self._last_ends[job_id] = state

    def note_ended(self, occasion: str) -> None:
        """Note the components that have ended although nobody ended them."""
        components = {"producer": self.producer, "display": self.display} | {
            f"worker {worker.pid}": worker.process for worker in self.installation.workers
        }
        for name, process in components.items():
            if process.poll() is not None and process.pid not in self.killed_pids:
                self.outcomes.unexpected_exits.append(f"{name}, status {process.returncode}: {occasion}")

    def finish(self) -> None:
        """Wait until all jobs have ended and nothing runs, and count the outcomes."""
        with suppress(pytest.fail.Exception):  # the outcomes say what has not ended
            self.installation.wait_until(lambda: self.submit_photos(0) == 0)
        with suppress(pytest.fail.Exception):
            self.installation.wait_until(self._is_idle)  # what was delivered twice could still end twice
        self.read_events()
        self._count_outcomes()

    def _is_idle(self) -> bool:
        is_outbox_empty = not any((self.installation.settings.data / OUTBOX_FOLDER_NAME).iterdir())
        return is_outbox_empty and not count_all_queued(self.installation.client) and not self._list_running()

    def _list_running(self) -> list[str]:
        """Return the ids of the jobs with a lease, and the numbers of the messages that no worker has acknowledged."""
        leased = [record.job.id for record in self.installation.table.list_leased()]
        return leased + [str(tag) for tag in self.installation.client.hkeys(UNACKNOWLEDGED_KEY)]

    def _count_outcomes(self) -> None:
        outcomes = self.outcomes
        outcomes.jobs = len(self.submitted_jobs)
        outcomes.running = self._list_running()
        outcomes.ended_twice = [job_id for (_, job_id), count in self.end_counts.items() if count > 1]
        for job_id in self.submitted_jobs:
            end = self._last_ends.get(job_id)
            if end is None or (end is State.COMPLETED and not self._has_dream(job_id)):
                outcomes.lost.append(job_id)
            else:
                outcomes.ends[end] += 1
            if end is State.FAILED:
                outcomes.reasons[self._reasons[job_id].replace(job_id, "…")] += 1
            if end is State.DELETED and not has_tombstone(self.installation.store, job_id):
                outcomes.lost.append(job_id)
        with suppress(pytest.fail.Exception):
            wait_until(lambda: not self._list_leftovers(), "the store has dreams only")
        outcomes.leftovers = self._list_leftovers()

    def _has_dream(self, job_id: str) -> bool:
        names = (photo_name(self.submitted_jobs[job_id].photo_id), dream_name(job_id), sidecar_name(job_id))
        return all(self.installation.store.get(name) is not None for name in names)

    def _list_leftovers(self) -> list[str]:
        """Return the objects of dreams that are of no completed job, and the photos of deleted dreams."""
        complete = tuple(dream_prefix(job_id) for job_id, end in self._last_ends.items() if end is State.COMPLETED)
        names = [entry.name for entry in self.installation.store.list_objects(DREAMS_PREFIX)]
        photo_names = [
            name_of(self.submitted_jobs[job_id].photo_id)
            for job_id, end in self._last_ends.items()
            for name_of in (photo_name, working_photo_name)
            if end is State.DELETED
        ]
        deleted_photos = [name for name in photo_names if self.installation.store.get(name) is not None]
        return [name for name in names if not name.startswith(complete)] + deleted_photos

    def start_component(self, *command: str) -> "subprocess.Popen[bytes]":
        """Start `artdream watch` or `artdream display`."""
        settings = self.installation.settings.to_environment()
        if command[0] == "watch":
            proxy_port = f":{self.producer_proxy.port}/"
            settings["ARTDREAM_BROKER_URL"] = self.installation.settings.broker.replace(
                f":{self.installation.port}/", proxy_port
            )
        with (self.installation.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "artdream", *command],
                env={**os.environ, **self._store_environment(), **settings},
                stdout=log,
                stderr=log,
            )

    def start_display(self) -> None:
        """Start `artdream display` on a free port."""
        self._display_port = free_port()
        self.display = self.start_component("display", "--port", str(self._display_port))

    def have_all_started(self) -> bool:
        """Return whether every component has checked its access to the broker, and runs."""
        names = [heartbeat.name for heartbeat in HeartbeatRegistry(self.installation.client).list_heartbeats()]
        return (
            any(name.endswith(f"-{self.producer.pid}") for name in names)
            and is_listening(self._display_port)
            and all(len(worker.process_tree) > 1 for worker in self.installation.workers)
        )

    def start_worker(self) -> None:
        """Start a worker, and return at once."""
        self.installation.start_worker(
            broker_port=self.worker_proxy.port,
            wait=False,
            command=self._worker_command,
            environment=self._store_environment(),
        )

    def _store_environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT": f"http://127.0.0.1:{self.store_proxy.port}"}
