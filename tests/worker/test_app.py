"""A real worker process turns each job into exactly one dream, despite cancellations, crashes and restarts.

Its dreamer is that of the tests, except where a test asks for the worker with the engine.
"""

import io
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from PIL import Image

from shared.jobs.events import Cancelled, Completed, Deleted, Failed, Progress, Stage, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import count_queued, create_celery_app, queue_keys, submit
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.deletion import delete_dream_objects, write_tombstone
from shared.storage.object_names import (
    clip_name,
    dream_name,
    preview_name,
    sidecar_name,
    thumb_name,
    zoom_name,
)
from shared.storage.sidecar import Sidecar, Visibility
from shared.timing import DEFAULT_TIMING
from tests.dreamer import (
    CRASHING,
    FAILING,
    FAILURE_REASON,
    GREEDY,
    GREEDY_MB,
    HELD,
    STRANDED,
    hold_dreams,
    release_dreams,
)
from tests.fault.installation import FaultInstallation, WorkerProcess
from tests.recipes import write_recipe
from tests.waiting import WAIT_TIMEOUT_SECONDS
from worker.app import WARM_UP_RETRY_SECONDS


@contextmanager
def run_installation(folder: Path, **overrides: object) -> Iterator[FaultInstallation]:
    """Run an installation on a folder. overrides: settings that replace the defaults, by name."""
    installation = FaultInstallation(folder, **overrides)
    try:
        yield installation
    finally:
        installation.close()


@pytest.fixture(scope="module")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultInstallation]:
    with run_installation(tmp_path_factory.mktemp("worker"), grace_seconds=180) as installation:
        yield installation


@pytest.fixture
def installation(_installation: FaultInstallation) -> FaultInstallation:
    """Return the installation, with its worker running."""
    if not list_running(_installation):
        _installation.start_worker()
    return _installation


@pytest.fixture(scope="module")
def engine_installation(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[FaultInstallation, WorkerProcess]]:
    """An installation with a worker of the engine."""
    with run_installation(tmp_path_factory.mktemp("engine")) as installation:
        yield installation, installation.start_worker(command=(sys.executable, "-m", "artdream", "worker"))


def test_a_photo_becomes_a_dream_with_frames_and_a_sidecar(
    engine_installation: tuple[FaultInstallation, WorkerProcess],
) -> None:
    installation, _ = engine_installation
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
    assert (sidecar.recipe, sidecar.seed, sidecar.size, sidecar.network) == (job.recipe, 0, (256, 192), "lite")
    assert len(sidecar.weights) == 64
    assert re.search(r"dreams are rendered by \w+ on \w+:0", installation.log.read_text())
    assert {Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH} <= sidecar.stages.keys()


def test_a_job_that_completes_gets_its_clips(tmp_path: Path) -> None:
    with run_installation(tmp_path, clips=True) as installation:
        installation.start_worker()
        job = installation.submit(5)
        installation.wait_until(lambda: installation.store.get(zoom_name(job.id)) is not None)  # the last clip
        for name in (clip_name(job.id), zoom_name(job.id)):
            with av.open(io.BytesIO(installation.store.get(name) or b"")) as clip:
                assert (clip.streams.video[0].width, clip.streams.video[0].height) == (256, 192)
        with Image.open(io.BytesIO(installation.store.get(preview_name(job.id)) or b"")) as preview:
            assert (preview.format, preview.size) == ("WEBP", (256, 192))


def test_a_worker_that_requires_approval_does_so_for_the_whole_installation(tmp_path: Path) -> None:
    with run_installation(tmp_path, approval=True) as installation:
        installation.start_worker()
        settings = installation.settings.model_copy(update={"approval": False})
        installation.wait_until(lambda: read_runtime_settings(installation.client, settings).approval)


def test_a_job_sent_twice_is_dreamt_once(installation: FaultInstallation) -> None:
    job = installation.submit(2)
    installation.app.send_task(
        "artdream.dream", args=[job.id], queue="live"
    )  # a redelivered message, which no broker can rule out
    last = installation.submit(3)
    installation.wait_until(lambda: bool(installation.events_of(last, Completed)))
    assert not submit(installation.app, installation.table, job)
    assert len(installation.events_of(job, Completed)) == 1
    assert len(installation.events_of(job, Started)) == 1


def test_a_live_photo_overtakes_a_waiting_batch_and_nothing_more_is_reserved(installation: FaultInstallation) -> None:
    running = installation.start_held_job(10)
    batch = [installation.submit(seed, lane=Lane.BATCH) for seed in (11, 12, 13)]
    live = installation.submit(14)
    assert count_queued(installation.client, Lane.BATCH) == 3
    assert count_queued(installation.client, Lane.LIVE) == 1
    assert installation.client.hlen("unacked") == 1
    installation.release_dreams()
    installation.wait_until(lambda: all(installation.events_of(job, Completed) for job in batch))
    order = [event.job_id for event in installation.events if isinstance(event, Started)]
    assert order[order.index(running.id) :] == [running.id, live.id, *(job.id for job in batch)]


def test_a_job_that_is_cancelled_while_it_runs_is_aborted(installation: FaultInstallation) -> None:
    running = installation.start_held_job(15)
    assert installation.table.cancel(running.id)
    following = installation.submit(16)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    assert installation.events_of(running, Completed) == []
    assert len(installation.events_of(running, Cancelled)) == 1
    assert "its dream was stopped" in installation.log.read_text()
    assert installation.store.get(dream_name(running.id)) is None


def test_a_dream_that_is_deleted_while_it_is_dreamt_leaves_nothing(installation: FaultInstallation) -> None:
    running = installation.start_held_job(17)
    write_tombstone(installation.store, running.id)
    assert installation.table.delete(running.id, running.photo_id)
    following = installation.submit(18)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    assert installation.events_of(running, Completed) == []
    assert list(installation.store.list_objects(f"dreams/{running.id}/")) == []


def test_a_deleted_dream_is_not_dreamt_again_where_the_broker_has_forgotten_it(
    installation: FaultInstallation,
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


def test_with_approval_the_sidecar_says_that_its_dream_is_held(installation: FaultInstallation) -> None:
    running = installation.start_held_job(22)
    update_runtime_settings(installation.client, approval=True)  # while the dream is being rendered
    installation.release_dreams()
    following = installation.submit(23)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    update_runtime_settings(installation.client, approval=False)

    def read_visibility(job: Job) -> Visibility:
        return Sidecar.model_validate_json(installation.store.get(sidecar_name(job.id)) or "").standing

    installation.wait_until(lambda: read_visibility(running) is read_visibility(following) is Visibility.HELD)


def test_a_photo_that_is_gone_fails_with_a_reason_and_the_next_one_is_dreamt(installation: FaultInstallation) -> None:
    job_without_photo = Job(photo_id="0" * 64, recipe=installation.short_recipe)
    submit(installation.app, installation.table, job_without_photo)
    job = installation.submit(20)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    [failed] = installation.events_of(job_without_photo, Failed)
    assert isinstance(failed, Failed)
    assert failed.reason == f"The photo photos/{'0' * 64}.jpg is no longer in the store."
    assert installation.table.get_state(job_without_photo.id) == State.FAILED


def test_a_dream_that_fails_gives_a_reason_and_the_next_one_is_dreamt(installation: FaultInstallation) -> None:
    failing, crashing = (
        installation.submit(24, installation.short_recipe.model_copy(update={"name": name}))
        for name in (FAILING, CRASHING)
    )
    following = installation.submit(25)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
    reasons = [event.reason for event in installation.events if isinstance(event, Failed)][-2:]
    assert reasons == [FAILURE_REASON, "The worker met a fault: RuntimeError. Its log has the details."]
    assert installation.table.get_states([failing.id, crashing.id]) == [State.FAILED] * 2


def test_a_dream_that_was_published_but_not_announced_is_announced_without_dreaming_again(
    installation: FaultInstallation,
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


def test_what_is_not_a_job_id_of_ours_is_dropped(installation: FaultInstallation) -> None:
    installation.app.send_task("artdream.dream", args=["../../etc/passwd"], queue="live")
    installation.app.send_task("artdream.dream", kwargs={"job": {"photo_id": 1}}, queue="live")
    job = installation.submit(40)
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))


def test_a_pool_process_killed_in_mid_dream_has_its_job_done_once_by_the_next(installation: FaultInstallation) -> None:
    job = installation.start_held_job(50)
    [worker] = list_running(installation)
    worker.pool_process.kill()
    installation.release_dreams()
    installation.wait_until(lambda: bool(installation.events_of(job, Completed)))
    assert len(installation.events_of(job, Started)) == 2
    assert len(installation.events_of(job, Completed)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_only_the_pool_process_loads_tensorflow(
    engine_installation: tuple[FaultInstallation, WorkerProcess],
) -> None:
    _, worker = engine_installation
    assert "tensorflow" in Path(f"/proc/{worker.pool_process.pid}/maps").read_text()
    assert "tensorflow" not in Path(f"/proc/{worker.pid}/maps").read_text()


@pytest.mark.parametrize(("signal_number", "job_number"), [(signal.SIGTERM, 60), (signal.SIGINT, 64)])
def test_a_signal_finishes_the_dream_in_progress_and_leaves_the_rest_waiting(
    installation: FaultInstallation, signal_number: signal.Signals, job_number: int
) -> None:
    """Seen failing with SIGINT, after which the worker said that it had ended because of a fault."""
    [worker] = list_running(installation)
    running = installation.start_held_job(job_number)
    waiting = installation.submit(job_number + 1)
    log_length = len(installation.log.read_text())
    worker.process.send_signal(signal_number)
    installation.wait_until(lambda: "shutdown" in installation.log.read_text()[log_length:])
    installation.release_dreams()
    installation.wait_until(lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 0
    assert installation.table.get_state(running.id) == State.COMPLETED
    assert installation.table.get_state(waiting.id) == State.QUEUED
    installation.wait_until(lambda: not HeartbeatRegistry(installation.client).list_heartbeats())
    installation.start_worker()
    installation.wait_until(lambda: bool(installation.events_of(waiting, Completed)))


def test_a_worker_that_starts_while_the_broker_s_memory_is_full_waits(tmp_path: Path) -> None:
    """Seen failing without `broker_channel_error_retry`: the worker ended."""
    with run_installation(tmp_path) as installation:
        job = installation.submit(1)
        installation.client.config_set("maxmemory", 1)
        worker = installation.start_worker(wait=False)

        def has_ended() -> bool:
            return worker.process.poll() is not None

        installation.wait_until(lambda: "Trying to reconnect" in installation.log.read_text() or has_ended())
        installation.client.config_set("maxmemory", 0)
        installation.wait_until(lambda: installation.is_ended(job) or has_ended())
        assert installation.events_of(job, Completed)


def test_a_worker_whose_broker_s_memory_was_full_goes_on_and_says_why_it_paused(
    installation: FaultInstallation,
) -> None:
    """Seen failing while only a lost connection was expected: one that dreamt was never heard of again."""
    installation.start_held_job(62)
    installation.client.config_set("maxmemory", 1)
    # The heartbeat has met it, not only the dream.
    installation.wait_until(lambda: "worker.app: The broker's memory is full: " in installation.log.read_text())
    installation.client.config_set("maxmemory", 0)
    HeartbeatRegistry(installation.client).remove(
        Component.WORKER, HeartbeatRegistry(installation.client).list_heartbeats()[0].name
    )
    installation.wait_until(lambda: bool(HeartbeatRegistry(installation.client).list_heartbeats()))
    installation.release_dreams()
    following = installation.submit(63)
    installation.wait_until(lambda: bool(installation.events_of(following, Completed)))


def test_messages_carry_a_reference_and_nothing_else(installation: FaultInstallation) -> None:
    installation.start_held_job(70)
    batch = installation.submit(71, lane=Lane.BATCH)
    message = json.loads(installation.client.lindex(queue_keys(Lane.BATCH)[-1], 0) or "{}")
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == f"['{batch.id}']"
    assert len(json.dumps(message)) < 2000
    installation.release_dreams()
    installation.wait_until(lambda: bool(installation.events_of(batch, Completed)))


@pytest.mark.slow
def test_a_process_that_took_too_much_memory_is_replaced_between_two_dreams(tmp_path: Path) -> None:
    """And takes no message with it. Seen failing with Celery's setting alone: the ending process was given the next."""
    with run_installation(tmp_path, worker_process_mb=GREEDY_MB) as installation:
        release_dreams(installation.settings.data)  # its warm-up
        worker = installation.start_worker(recipe=str(tmp_path / f"{HELD}.toml"))
        greedy_process = worker.pool_process
        hold_dreams(installation.settings.data)
        greedy = installation.submit(1, installation.short_recipe.model_copy(update={"name": GREEDY}))
        following = installation.submit(2)

        def list_workers() -> list[str]:
            registry = HeartbeatRegistry(installation.client)
            return [f"{heartbeat.name} {heartbeat.state}" for heartbeat in registry.list_heartbeats()]

        installation.wait_until(lambda: [entry.endswith("warming up") for entry in list_workers()] == [True])
        assert not greedy_process.is_running()
        assert len(installation.events_of(greedy, Completed)) == 1
        assert count_queued(installation.client, Lane.LIVE) == 1  # another worker might take it
        installation.release_dreams()
        installation.wait_until(lambda: bool(installation.events_of(following, Completed)))
        assert len(installation.events_of(following, Started)) == 1
        assert "message lost" not in installation.log.read_text()


@pytest.mark.slow
def test_a_process_that_takes_too_much_memory_to_warm_up_says_so(tmp_path: Path) -> None:
    """It would be replaced after each dream."""
    with run_installation(tmp_path, worker_process_mb=1) as installation:
        worker = installation.start_worker(wait=False)
        assert worker.process.wait(WAIT_TIMEOUT_SECONDS) == 1
        assert "MB to warm up: set ARTDREAM_WORKER_PROCESS_MB to more, or to 0." in installation.log.read_text()


def test_a_worker_that_cannot_warm_up_says_why_and_ends(tmp_path: Path) -> None:
    """Seen failing: Celery swallowed the error, and the worker was "warming up" forever."""
    with run_installation(tmp_path) as installation:
        worker = installation.start_worker(wait=False, recipe=str(write_recipe(tmp_path, FAILING)))
        assert worker.process.wait(WAIT_TIMEOUT_SECONDS) == 1
        assert FAILURE_REASON in installation.log.read_text()
        assert [heartbeat.state for heartbeat in HeartbeatRegistry(installation.client).list_heartbeats()] in (
            [],
            ["failed"],
        )


def test_a_worker_serves_the_recipes_that_could_be_warmed_up(tmp_path: Path) -> None:
    with run_installation(tmp_path) as installation:
        recipes = write_recipe(tmp_path, FAILING), write_recipe(tmp_path, "short")
        installation.start_worker(recipe=",".join(map(str, recipes)))
        assert f"The recipe {FAILING} could not be warmed up: {FAILURE_REASON}" in installation.log.read_text()
        job = installation.submit(1)
        installation.wait_until(lambda: bool(installation.events_of(job, Completed)))


def test_a_worker_that_waits_for_the_store_for_too_long_serves_the_other_recipes(tmp_path: Path) -> None:
    """Seen failing: it waited for `time_limit_seconds` for each recipe, and Celery killed its process before."""
    with run_installation(tmp_path) as installation:
        folder = tmp_path / "another"
        folder.mkdir()
        recipes = write_recipe(tmp_path, STRANDED), write_recipe(folder, STRANDED), write_recipe(tmp_path, "short")
        installation.start_worker(recipe=",".join(map(str, recipes)))
        log = installation.log.read_text()
        assert log.count(f"The recipe {STRANDED} could not be warmed up: The store is unavailable.") == 2
        assert log.count("waiting: The store is unavailable.") == 1  # the second recipe does not wait again
        job = installation.submit(1)
        installation.wait_until(lambda: bool(installation.events_of(job, Completed)))


def test_a_process_that_waits_for_the_store_can_say_so_before_celery_kills_it() -> None:
    """And half of its time is left for TensorFlow and for compiling."""
    waiting_seconds = DEFAULT_TIMING.warm_up_store_seconds + WARM_UP_RETRY_SECONDS
    app = create_celery_app(Settings(broker_url="redis://127.0.0.1", _env_file=None))
    assert waiting_seconds <= app.conf.worker_proc_alive_timeout / 2


def test_a_worker_with_a_recipe_that_does_not_exist_does_not_start(tmp_path: Path) -> None:
    with run_installation(tmp_path) as installation:
        worker = installation.start_worker(wait=False, recipe="animalz")
        assert worker.process.wait(WAIT_TIMEOUT_SECONDS) == 1
        assert "Did you mean animals" in installation.log.read_text()


def list_running(installation: FaultInstallation) -> list[WorkerProcess]:
    """Return the workers that have not ended."""
    return [worker for worker in installation.workers if worker.process.poll() is None]
