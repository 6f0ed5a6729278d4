"""A worker takes jobs from its lanes and turns each into one dream, whatever happens to it meanwhile."""

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
from tests.servers import valkey

ANIMALS = load_recipe("animals")
SHORT = ANIMALS.model_copy(
    update={"canvas": 256, "ascent": ANIMALS.ascent.model_copy(update={"octaves": 2, "steps": 2})}
)
#: Long enough to be met in the middle.
LONG = SHORT.model_copy(update={"ascent": SHORT.ascent.model_copy(update={"steps": 120})})


class Installation:
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

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "artdream", "worker"],
                env={**os.environ, **self.settings.to_environment()},
                stdout=log,
                stderr=log,
            )
        self.until(lambda: any(p.state == "ready" for p in HeartbeatRegistry(self.client).list_heartbeats()))

    def photo(self, seed: int) -> str:
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((320, 240)).save(data, "JPEG")
        photo_id = hashlib.sha256(data.getvalue()).hexdigest()
        self.store.put(photo_name(photo_id), data.getvalue())
        return photo_id

    def submit(self, seed: int, recipe: Recipe = SHORT, lane: Lane = Lane.LIVE) -> Job:
        job = Job(photo_id=self.photo(seed), recipe=recipe, lane=lane)
        submit(self.app, self.table, job)
        return job

    def until(self, condition: Callable[[], bool], patience: float = 180) -> None:
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            self.events += [recorded.event for recorded in self._reader.read(wait_seconds=0.05)]

    def of(self, job: Job, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind) and event.job_id == job.id]


@contextmanager
def installed(folder: Path, *, clips: bool = False) -> Iterator[Installation]:
    """Have an installation at work on a folder."""
    with valkey() as server:
        installation = Installation(f"{server.connection_url}/0", folder / "data", clips=clips)
        installation.start()
        yield installation
        installation.worker.kill()
        installation.worker.wait()


@pytest.fixture(scope="module")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with installed(tmp_path_factory.mktemp("worker")) as installation:
        yield installation


@pytest.fixture
def here(_installation: Installation) -> Installation:
    """The installation, its worker alive and idle."""
    if _installation.worker.poll() is not None:
        _installation.start()
    return _installation


def test_a_photo_becomes_a_dream_with_frames_and_a_sidecar(here: Installation) -> None:
    job = here.submit(1)
    here.until(lambda: bool(here.of(job, Completed)))
    assert [type(e).__name__.lower() for e in here.events if getattr(e, "job_id", "") == job.id][:3] == [
        "accepted",
        "queued",
        "started",
    ]
    for event in here.of(job, Progress):
        assert isinstance(event, Progress)
        assert here.store.get(event.frame)
    with Image.open(io.BytesIO(here.store.get(dream_name(job.id)) or b"")) as dream:
        assert dream.size == (256, 192)
        assert not dream.getexif()
    with Image.open(io.BytesIO(here.store.get(thumb_name(job.id)) or b"")) as thumb:
        assert thumb.size == (256, 192)
    sidecar = Sidecar.model_validate_json(here.store.get(sidecar_name(job.id)) or "")
    assert (sidecar.recipe, sidecar.seed, sidecar.size, sidecar.network) == (SHORT, 0, (256, 192), "lite")
    assert len(sidecar.weights) == 64
    assert {Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH} <= sidecar.stages.keys()


def test_a_job_that_completes_gets_its_clips(tmp_path: Path) -> None:
    with installed(tmp_path, clips=True) as here:
        job = here.submit(5)
        here.until(lambda: here.store.get(zoom_name(job.id)) is not None)  # the last of them
        for name in (clip_name(job.id), zoom_name(job.id)):
            with av.open(io.BytesIO(here.store.get(name) or b"")) as clip:
                assert (clip.streams.video[0].width, clip.streams.video[0].height) == (256, 192)
        with Image.open(io.BytesIO(here.store.get(preview_name(job.id)) or b"")) as preview:
            assert (preview.format, preview.size) == ("WEBP", (256, 192))


def test_a_job_sent_twice_is_dreamt_once(here: Installation) -> None:
    job = here.submit(2)
    here.app.send_task("artdream.dream", args=[job.id], queue="live")  # the duplicate that no broker can rule out
    last = here.submit(3)
    here.until(lambda: bool(here.of(last, Completed)))
    assert not submit(here.app, here.table, job)
    assert len(here.of(job, Completed)) == 1
    assert len(here.of(job, Started)) == 1


def test_a_live_photo_overtakes_a_waiting_batch_and_nothing_more_is_reserved(here: Installation) -> None:
    running = here.submit(10, LONG)
    here.until(lambda: bool(here.of(running, Started)))
    batch = [here.submit(seed, lane=Lane.BATCH) for seed in (11, 12, 13)]
    live = here.submit(14)
    assert count_queued(here.client, Lane.BATCH) == 3
    assert count_queued(here.client, Lane.LIVE) == 1
    assert here.client.hlen("unacked") == 1
    here.until(lambda: all(here.of(job, Completed) for job in batch))
    order = [event.job_id for event in here.events if isinstance(event, Started)]
    assert order[order.index(running.id) :] == [running.id, live.id, *(job.id for job in batch)]


def test_a_job_that_is_called_off_while_it_dreams_is_broken_off(here: Installation) -> None:
    running = here.submit(15, LONG)
    here.until(lambda: bool(here.of(running, Progress)))
    assert here.table.cancel(running.id)
    following = here.submit(16)
    here.until(lambda: bool(here.of(following, Completed)))
    assert here.of(running, Completed) == []
    assert len(here.of(running, Cancelled)) == 1
    assert "its dream was broken off" in here.log.read_text()
    assert here.store.get(dream_name(running.id)) is None


def test_a_dream_that_is_deleted_while_it_is_dreamt_leaves_nothing(here: Installation) -> None:
    running = here.submit(17, LONG)
    here.until(lambda: bool(here.of(running, Progress)))
    write_tombstone(here.store, running.id)
    assert here.table.delete(running.id, running.photo_id)
    following = here.submit(18)
    here.until(lambda: bool(here.of(following, Completed)))
    assert here.of(running, Completed) == []
    assert list(here.store.list_objects(f"dreams/{running.id}/")) == []


def test_a_deleted_dream_is_not_dreamt_again_where_the_broker_has_forgotten_it(here: Installation) -> None:
    job = here.submit(19)
    here.until(lambda: bool(here.of(job, Completed)))
    write_tombstone(here.store, job.id)
    delete_dream_objects(here.store, job.id)
    here.client.delete(f"artdream:job:{job.id}")
    here.events.clear()
    assert submit(here.app, here.table, job)
    here.until(lambda: bool(here.of(job, Deleted)))
    following = here.submit(21)
    here.until(lambda: bool(here.of(following, Completed)))
    assert here.of(job, Completed) == []
    assert list(here.store.list_objects(f"dreams/{job.id}/")) == []
    assert here.table.get_state(job.id) is State.DELETED


def test_with_approval_the_sidecar_says_that_its_dream_is_held(here: Installation) -> None:
    running = here.submit(22, LONG)
    here.until(lambda: bool(here.of(running, Progress)))
    update_runtime_settings(here.client, approval=True)  # while it is dreamt already
    following = here.submit(23)
    here.until(lambda: bool(here.of(following, Completed)))
    update_runtime_settings(here.client, approval=False)

    def standing(job: Job) -> Visibility:
        return Sidecar.model_validate_json(here.store.get(sidecar_name(job.id)) or "").standing

    here.until(lambda: standing(running) is standing(following) is Visibility.HELD)


def test_a_photo_that_is_gone_fails_with_a_reason_and_the_next_one_is_dreamt(here: Installation) -> None:
    lost = Job(photo_id="0" * 64, recipe=SHORT)
    submit(here.app, here.table, lost)
    job = here.submit(20)
    here.until(lambda: bool(here.of(job, Completed)))
    [failed] = here.of(lost, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The photo photos/{'0' * 64}.jpg is no longer in the store."
    assert here.table.get_state(lost.id) == State.FAILED


def test_a_dream_that_was_published_but_not_announced_is_announced_without_dreaming_again(here: Installation) -> None:
    first = here.submit(30)
    here.until(lambda: bool(here.of(first, Completed)))
    here.client.delete(f"artdream:job:{first.id}")  # a broker that lost its memory
    here.events.clear()
    before = here.store.get(sidecar_name(first.id))
    submit(here.app, here.table, first)
    here.until(lambda: bool(here.of(first, Completed)))
    assert not here.of(first, Progress)
    assert here.store.get(sidecar_name(first.id)) == before


def test_what_is_not_a_job_id_of_ours_is_dropped(here: Installation) -> None:
    here.app.send_task("artdream.dream", args=["../../etc/passwd"], queue="live")
    here.app.send_task("artdream.dream", kwargs={"job": {"photo_id": 1}}, queue="live")
    job = here.submit(40)
    here.until(lambda: bool(here.of(job, Completed)))


def test_a_pool_process_killed_in_mid_dream_has_its_job_done_once_by_the_next(here: Installation) -> None:
    job = here.submit(50, LONG)
    here.until(lambda: bool(here.of(job, Progress)))
    [child] = psutil.Process(here.worker.pid).children()
    child.send_signal(signal.SIGKILL)
    here.until(lambda: bool(here.of(job, Completed)))
    assert len(here.of(job, Started)) == 2
    assert len(here.of(job, Completed)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_pool_process_loads_tensorflow(here: Installation) -> None:
    [child] = psutil.Process(here.worker.pid).children()
    assert "tensorflow" in Path(f"/proc/{child.pid}/maps").read_text()
    assert "tensorflow" not in Path(f"/proc/{here.worker.pid}/maps").read_text()


def test_sigterm_finishes_the_dream_in_progress_and_leaves_the_rest_waiting(here: Installation) -> None:
    running = here.submit(60, LONG)
    waiting = here.submit(61)
    here.until(lambda: bool(here.of(running, Started)))
    here.worker.send_signal(signal.SIGTERM)
    here.until(lambda: here.worker.poll() is not None)
    here.until(lambda: bool(here.of(running, Completed)), patience=1)
    assert here.worker.returncode == 0
    assert here.table.get_state(waiting.id) == State.QUEUED
    assert HeartbeatRegistry(here.client).list_heartbeats() == []
    here.start()
    here.until(lambda: bool(here.of(waiting, Completed)))


def test_messages_carry_a_reference_and_nothing_else(here: Installation) -> None:
    here.submit(70, LONG)
    batch = here.submit(71, lane=Lane.BATCH)
    message = json.loads(here.client.lindex(queue_keys(Lane.BATCH)[-1], 0) or "{}")
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == f"['{batch.id}']"
    assert len(json.dumps(message)) < 2000
    here.until(lambda: bool(here.of(batch, Completed)))
