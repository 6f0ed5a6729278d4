"""A real worker process turns each job into exactly one dream, despite cancellations, crashes and restarts."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from celery import Celery
from PIL import Image

from shared.broker.client import connect
from shared.jobs.events import Cancelled, Completed, Deleted, Event, EventReader, Failed, Progress, Stage, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued, create_celery_app, queue_keys, submit
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import HeartbeatRegistry
from shared.recipe.recipe import Recipe, load_recipe
from shared.runtime_settings import update_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects, write_tombstone
from shared.storage.object_names import (
    clip_name,
    dream_name,
    photo_name,
    preview_name,
    sidecar_name,
    thumb_name,
    zoom_name,
)
from shared.storage.sidecar import Sidecar, Visibility
from shared.storage.store import Store
from tests.recipes import write_recipe
from tests.servers import make_valkey

ANIMALS_RECIPE = load_recipe("animals")
SHORT_RECIPE = ANIMALS_RECIPE.model_copy(
    update={"canvas": 256, "ascent": ANIMALS_RECIPE.ascent.model_copy(update={"octaves": 2, "steps": 2})}
)
#: Long enough to be interrupted.
LONG_RECIPE = SHORT_RECIPE.model_copy(update={"ascent": SHORT_RECIPE.ascent.model_copy(update={"steps": 120})})


class WorkerInstallation:
    """A broker, a store and one worker process."""

    def __init__(self, url: str, data: Path, *, clips: bool) -> None:
        self.settings = Settings(
            data=data,
            broker_url=url,
            clips=clips,
            recipe=str(write_recipe(data.parent)),
            grace_seconds=180,
            _env_file=None,
        )
        self.client = connect(url)
        self.table = JobTable(self.client)
        self.store = Store(self.settings.store)
        self.app: Celery = create_celery_app(self.settings)
        self.events: list[Event] = []
        self._reader = EventReader(self.client)
        self.log = data.parent / "worker.log"

    def start_worker(self) -> None:
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "artdream", "worker"],
                env={**os.environ, **self.settings.to_environment()},
                stdout=log,
                stderr=log,
            )
        self.wait_until(
            lambda: any(heartbeat.state == "ready" for heartbeat in HeartbeatRegistry(self.client).list_heartbeats())
        )

    def store_photo(self, seed: int) -> str:
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((320, 240)).save(data, "JPEG")
        photo_id = hashlib.sha256(data.getvalue()).hexdigest()
        self.store.put(photo_name(photo_id), data.getvalue())
        return photo_id

    def submit(self, seed: int, recipe: Recipe = SHORT_RECIPE, lane: Lane = Lane.LIVE) -> Job:
        job = Job(photo_id=self.store_photo(seed), recipe=recipe, lane=lane)
        submit(self.app, self.table, job)
        return job

    def wait_until(self, condition: Callable[[], bool], timeout: float = 180) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            self.events += [recorded.event for recorded in self._reader.read(wait_seconds=0.05)]

    def events_of(self, job: Job, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind) and event.job_id == job.id]


@contextmanager
def run_installation(folder: Path, *, clips: bool = False) -> Iterator[WorkerInstallation]:
    """Run an installation with one worker on a folder."""
    with make_valkey() as server:
        installation = WorkerInstallation(f"{server.connection_url}/0", folder / "data", clips=clips)
        installation.start_worker()
        yield installation
        installation.worker.kill()
        installation.worker.wait()


@pytest.fixture(scope="module")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerInstallation]:
    with run_installation(tmp_path_factory.mktemp("worker")) as installation:
        yield installation


@pytest.fixture
def installation(_installation: WorkerInstallation) -> WorkerInstallation:
    """Return the installation, with its worker running."""
    if _installation.worker.poll() is not None:
        _installation.start_worker()
    return _installation


def test_a_photo_becomes_a_dream_with_frames_and_a_sidecar(installation: WorkerInstallation) -> None:
    job = installation.submit(1)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    assert [type(e).__name__.lower() for e in installation.events if getattr(e, "job_id", "") == job.id][:3] == [
        "accepted",
        "queued",
        "started",
    ]
    for event in installation.events_of(job, Progress):
        assert isinstance(event, Progress)
        assert installation.store.get(event.frame)
    with Image.open(io.BytesIO(installation.store.get(dream_name(job.id)) or b"")) as dream:
        assert dream.size == (256, 192)
        assert not dream.getexif()
    with Image.open(io.BytesIO(installation.store.get(thumb_name(job.id)) or b"")) as thumb:
        assert thumb.size == (256, 192)
    sidecar = Sidecar.model_validate_json(installation.store.get(sidecar_name(job.id)) or "")
    assert (sidecar.recipe, sidecar.seed, sidecar.size, sidecar.network) == (SHORT_RECIPE, 0, (256, 192), "lite")
    assert len(sidecar.weights) == 64
    assert {Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH} <= sidecar.stages.keys()


def test_a_job_that_completes_gets_its_clips(tmp_path: Path) -> None:
    with run_installation(tmp_path, clips=True) as installation:
        job = installation.submit(5)
        installation.wait_until(lambda: installation.store.get(zoom_name(job.id)) is not None)  # the last clip
        for name in (clip_name(job.id), zoom_name(job.id)):
            with av.open(io.BytesIO(installation.store.get(name) or b"")) as clip:
                assert (clip.streams.video[0].width, clip.streams.video[0].height) == (256, 192)
        with Image.open(io.BytesIO(installation.store.get(preview_name(job.id)) or b"")) as preview:
            assert (preview.format, preview.size) == ("WEBP", (256, 192))


def test_a_job_sent_twice_is_dreamt_once(installation: WorkerInstallation) -> None:
    job = installation.submit(2)
    installation.app.send_task(
        "artdream.dream", args=[job.id], queue="live"
    )  # a redelivered message, which no broker can rule out
    last = installation.submit(3)
    installation.wait_until(lambda: bool(installation.events_of(last, Completed)))
    assert not submit(installation.app, installation.table, job)
    assert len(installation.events_of(job, Completed)) == 1
    assert len(installation.events_of(job, Started)) == 1


def test_a_live_photo_overtakes_a_waiting_batch_and_nothing_more_is_reserved(installation: WorkerInstallation) -> None:
    running = installation.submit(10, LONG_RECIPE)
    installation.wait_until(lambda: bool(installation.events_of(running, Started)))
    batch = [installation.submit(seed, lane=Lane.BATCH) for seed in (11, 12, 13)]
    live = installation.submit(14)
    assert count_queued(installation.client, Lane.BATCH) == 3
    assert count_queued(installation.client, Lane.LIVE) == 1
    assert installation.client.hlen("unacked") == 1
    installation.wait_until(lambda: all(installation.events_of(job, Completed) for job in batch))
    order = [event.job_id for event in installation.events if isinstance(event, Started)]
    assert order[order.index(running.id) :] == [running.id, live.id, *(job.id for job in batch)]


def test_a_job_that_is_cancelled_while_it_runs_is_aborted(installation: WorkerInstallation) -> None:
    running = installation.submit(15, LONG_RECIPE)
    installation.wait_until(lambda: bool(installation.events_of(running, Progress)))
    assert installation.table.cancel(running.id)
    following = installation.submit(16)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    assert installation.events_of(running, Completed) == []
    assert len(installation.events_of(running, Cancelled)) == 1
    assert "its dream was broken off" in installation.log.read_text()
    assert installation.store.get(dream_name(running.id)) is None


def test_a_dream_that_is_deleted_while_it_is_dreamt_leaves_nothing(installation: WorkerInstallation) -> None:
    running = installation.submit(17, LONG_RECIPE)
    installation.wait_until(lambda: bool(installation.events_of(running, Progress)))
    write_tombstone(installation.store, running.id)
    assert installation.table.delete(running.id, running.photo_id)
    following = installation.submit(18)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    assert installation.events_of(running, Completed) == []
    assert list(installation.store.list_objects(f"dreams/{running.id}/")) == []


def test_a_deleted_dream_is_not_dreamt_again_where_the_broker_has_forgotten_it(
    installation: WorkerInstallation,
) -> None:
    job = installation.submit(19)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    write_tombstone(installation.store, job.id)
    delete_dream_objects(installation.store, job.id)
    installation.client.delete(f"artdream:job:{job.id}")
    installation.events.clear()
    assert submit(installation.app, installation.table, job)
    installation.wait_until(lambda: bool(installation.events_of(job, Deleted)))
    following = installation.submit(21)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    assert installation.events_of(job, Completed) == []
    assert list(installation.store.list_objects(f"dreams/{job.id}/")) == []
    assert installation.table.get_state(job.id) is State.DELETED


def test_with_approval_the_sidecar_says_that_its_dream_is_held(installation: WorkerInstallation) -> None:
    running = installation.submit(22, LONG_RECIPE)
    installation.wait_until(lambda: bool(installation.events_of(running, Progress)))
    update_runtime_settings(installation.client, approval=True)  # while the dream is being rendered
    following = installation.submit(23)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    update_runtime_settings(installation.client, approval=False)

    def read_visibility(job: Job) -> Visibility:
        return Sidecar.model_validate_json(installation.store.get(sidecar_name(job.id)) or "").standing

    installation.wait_until(lambda: read_visibility(running) is read_visibility(following) is Visibility.HELD)


def test_a_photo_that_is_gone_fails_with_a_reason_and_the_next_one_is_dreamt(installation: WorkerInstallation) -> None:
    job_without_photo = Job(photo_id="0" * 64, recipe=SHORT_RECIPE)
    submit(installation.app, installation.table, job_without_photo)
    job = installation.submit(20)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    [failed] = installation.events_of(job_without_photo, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The photo photos/{'0' * 64}.jpg is no longer in the store."
    assert installation.table.get_state(job_without_photo.id) == State.FAILED


def test_a_dream_that_was_published_but_not_announced_is_announced_without_dreaming_again(
    installation: WorkerInstallation,
) -> None:
    first = installation.submit(30)
    installation.wait_until(lambda: bool(installation.events_of(first, Completed)))
    installation.client.delete(f"artdream:job:{first.id}")  # a wiped broker
    installation.events.clear()
    before = installation.store.get(sidecar_name(first.id))
    submit(installation.app, installation.table, first)
    installation.wait_until(lambda: bool(installation.events_of(first, Completed)))
    assert not installation.events_of(first, Progress)
    assert installation.store.get(sidecar_name(first.id)) == before


def test_what_is_not_a_job_id_of_ours_is_dropped(installation: WorkerInstallation) -> None:
    installation.app.send_task("artdream.dream", args=["../../etc/passwd"], queue="live")
    installation.app.send_task("artdream.dream", kwargs={"job": {"photo_id": 1}}, queue="live")
    job = installation.submit(40)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))


def test_a_pool_process_killed_in_mid_dream_has_its_job_done_once_by_the_next(installation: WorkerInstallation) -> None:
    job = installation.submit(50, LONG_RECIPE)
    installation.wait_until(lambda: bool(installation.events_of(job, Progress)))
    [pool_process] = psutil.Process(installation.worker.pid).children()
    pool_process.send_signal(signal.SIGKILL)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    assert len(installation.events_of(job, Started)) == 2
    assert len(installation.events_of(job, Completed)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_pool_process_loads_tensorflow(installation: WorkerInstallation) -> None:
    [pool_process] = psutil.Process(installation.worker.pid).children()
    assert "tensorflow" in Path(f"/proc/{pool_process.pid}/maps").read_text()
    assert "tensorflow" not in Path(f"/proc/{installation.worker.pid}/maps").read_text()


def test_sigterm_finishes_the_dream_in_progress_and_leaves_the_rest_waiting(installation: WorkerInstallation) -> None:
    running = installation.submit(60, LONG_RECIPE)
    waiting = installation.submit(61)
    installation.wait_until(lambda: bool(installation.events_of(running, Started)))
    installation.worker.send_signal(signal.SIGTERM)
    installation.wait_until(lambda: installation.worker.poll() is not None)
    installation.wait_until(lambda: bool(installation.events_of(running, Completed)), timeout=1)
    assert installation.worker.returncode == 0
    assert installation.table.get_state(waiting.id) == State.QUEUED
    installation.wait_until(lambda: not HeartbeatRegistry(installation.client).list_heartbeats())
    installation.start_worker()
    installation.wait_until(lambda: bool(installation.events_of(waiting, Completed)))


def test_messages_carry_a_reference_and_nothing_else(installation: WorkerInstallation) -> None:
    installation.submit(70, LONG_RECIPE)
    batch = installation.submit(71, lane=Lane.BATCH)
    message = json.loads(installation.client.lindex(queue_keys(Lane.BATCH)[-1], 0) or "{}")
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == f"['{batch.id}']"
    assert len(json.dumps(message)) < 2000
    installation.wait_until(lambda: bool(installation.events_of(batch, Completed)))
