"""A job processor with a real broker and store, and hooks into its dreams."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from producer.decoding.convert import convert
from shared.jobs.events import Completed, EventReader, Failed
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import create_celery_app, parse_job_id, queue_keys, submit
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.storage.object_names import photo_name, sidecar_name
from shared.storage.sidecar import Sidecar, Visibility
from shared.storage.store import Store
from tests.dreamer import HELD, hold_dreams, release_dreams
from tests.fault.installation import WorkerProcess
from tests.pictures import encode_jpeg, make_picture
from tests.recipes import write_recipe
from tests.waiting import wait_until
from tests.worker_process import worker_command
from worker.dreamer import Dreamer, DreamResult, Frame, Pixels
from worker.jobs.processor import JobProcessor

ANIMALS_RECIPE = load_recipe("animals")
SHORT_RECIPE = ANIMALS_RECIPE.model_copy(
    update={"canvas": 256, "ascent": ANIMALS_RECIPE.ascent.model_copy(update={"octaves": 2, "steps": 2})}
)
HELD_RECIPE = SHORT_RECIPE.model_copy(update={"name": HELD})

#: Its dreams are larger than its canvas, and are rendered from the photos in full.
LARGE_RECIPE = SHORT_RECIPE.model_copy(update={"size": 512})


class RecordingDreamer(Dreamer):
    """Records the photos of each ascent of a dreamer, and calls `during_first_ascent` in the middle of the first."""

    def __init__(self, dreamer: Dreamer) -> None:
        self.batch_sizes: list[int] = []
        self.during_first_ascent: Callable[[], object] = lambda: None
        self._dreamer = dreamer

    def warm_up(self, recipe: Recipe) -> None:
        self._dreamer.warm_up(recipe)

    def dream(
        self,
        photo: Pixels,
        recipe: Recipe,
        *,
        seed: int,
        on_frame: Callable[[Frame], None] | None = None,
        load_full_photo: Callable[[], Pixels] | None = None,
    ) -> DreamResult:
        self.batch_sizes.append(1)
        is_first = len(self.batch_sizes) == 1

        def relay_frame(frame: Frame) -> None:
            if is_first and frame.index == 0:
                self.during_first_ascent()
            if on_frame:
                on_frame(frame)

        return self._dreamer.dream(photo, recipe, seed=seed, on_frame=relay_frame, load_full_photo=load_full_photo)

    def dream_batch(
        self,
        photos: Sequence[Pixels],
        recipe: Recipe,
        *,
        seeds: Sequence[int],
        on_frame: Callable[[int, Frame], None] | None = None,
        load_full_photo: Callable[[int], Pixels] | None = None,
    ) -> list[DreamResult]:
        self.batch_sizes.append(len(photos))
        if len(self.batch_sizes) == 1:
            self.during_first_ascent()
        return self._dreamer.dream_batch(
            photos, recipe, seeds=seeds, on_frame=on_frame, load_full_photo=load_full_photo
        )


class ProcessorHarness:
    """A broker, a store, and a job processor that renders up to four photos in one batch."""

    def __init__(self, settings: Settings, client: redis.Redis, dreamer: Dreamer) -> None:
        recipe = str(write_recipe(settings.data.parent))
        self.settings = settings.model_copy(update={"together": 4, "clips": False, "recipe": recipe})
        self.client, self.table = client, JobTable(client)
        self.app, self.store = create_celery_app(settings), Store(settings.store)
        self.dreamer = RecordingDreamer(dreamer)
        self.processor = JobProcessor(self.settings, "w-1", self.dreamer)

    def submit(
        self, seed: int, recipe: Recipe = SHORT_RECIPE, *, lane: Lane = Lane.BATCH, size: tuple[int, int] = (320, 240)
    ) -> Job:
        photo = convert(encode_jpeg(make_picture(seed, size)))
        self.store.put(photo_name(photo.photo_id), photo.jpeg)
        job = Job(photo_id=photo.photo_id, recipe=recipe, lane=lane)
        submit(self.app, self.table, job)
        return job

    def deliver(self, job: Job) -> None:
        """Take the next message from the job's lane and process the job, as Celery does."""
        self.client.rpop(queue_keys(job.lane)[-1])
        self.processor.process(job.id)

    @contextmanager
    def running_worker(self, folder: Path, *options: str) -> Iterator[psutil.Process]:
        """Run a real, warm worker besides the processor, which holds dreams of HELD_RECIPE until `release_dreams`.

        folder: for its log file, worker.log.
        """
        hold_dreams(self.settings.data)
        with (folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                worker_command(*options),
                env={**os.environ, **self.settings.to_environment()},
                stdout=log,
                stderr=log,
            )
        try:
            registry = HeartbeatRegistry(self.client)
            wait_until(
                lambda: any(
                    heartbeat.state == "ready"
                    for heartbeat in registry.list_heartbeats()
                    if heartbeat.part is Component.WORKER
                ),
                "warm",
            )
            yield psutil.Process(worker.pid)
        finally:
            WorkerProcess(worker).kill()

    def list_queued(self, lane: Lane) -> list[str | None]:
        """Return the job ids of the messages of a lane, in the order in which they will be delivered."""
        lists = [self.client.lrange(key, 0, -1) for key in queue_keys(lane)]
        return [parse_job_id(str(message)) for messages in lists for message in reversed(messages)]

    def release_dreams(self) -> None:
        """End the held dreams."""
        release_dreams(self.settings.data)

    def list_ended_jobs(self) -> list[str]:
        """Return the ids of completed and failed jobs, in the order in which they ended."""
        events = [recorded.event for recorded in EventReader(self.client).read(max_events=10_000)]
        return [event.job_id for event in events if isinstance(event, (Completed, Failed))]

    def read_states(self, jobs: list[Job]) -> list[State | None]:
        return self.table.get_states([job.id for job in jobs])


def record_standings(harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch) -> list[Visibility]:
    """Record the standing in each sidecar that the processor writes."""
    standings: list[Visibility] = []
    put = harness.processor._store.put

    def put_and_record(name: str, data: bytes) -> None:
        if name == sidecar_name(name.split("/")[1]):
            standings.append(Sidecar.model_validate_json(data).standing)
        put(name, data)

    monkeypatch.setattr(harness.processor._store, "put", put_and_record)
    return standings
