"""One attempt at a job: whatever happens meanwhile, it ends once, and its objects are those of its outcome."""

import io
import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prometheus_client import REGISTRY

from shared.art_map import MapPoint
from shared.jobs.events import ClassProbability, Completed, EventReader, Stage
from shared.jobs.job import Job, Lane, State
from shared.jobs.queue import submit
from shared.provenance.embedding import read_statement
from shared.provenance.key import make_key
from shared.provenance.signing import SignatureState, read_signature
from shared.provenance.statement import Statement, get_program
from shared.recipe.recipe import Recipe
from shared.runtime_settings import update_runtime_settings
from shared.storage.deletion import write_tombstone
from shared.storage.object_names import (
    dream_name,
    dream_prefix,
    frame_name,
    photo_name,
    sidecar_name,
    thumb_name,
    working_photo_name,
)
from shared.storage.sidecar import Sidecar, Visibility, read_sidecar
from tests.dreamer import CRASHING, FAILING, FAILURE_REASON
from tests.metrics import count_faults
from tests.pictures import encode_jpeg, make_picture
from tests.sidecars import make_sidecar
from tests.worker.jobs.processor_harness import LARGE_RECIPE, SHORT_RECIPE, ProcessorHarness, record_standings
from worker.dreamer import DreamResult, Pixels
from worker.jobs import execution, frames, job_photo
from worker.jobs.job_photo import decode_photo
from worker.jobs.processor import JobProcessor


def count_jobs(outcome: str) -> float:
    return REGISTRY.get_sample_value("artdream_jobs_total", {"outcome": outcome}) or 0


def process(harness: ProcessorHarness, job: Job) -> tuple[State | None, str]:
    """Process a job; return its state and the reason of a failure."""
    harness.processor.process(job.id)
    record = harness.table.get_record(job.id)
    return harness.table.get_state(job.id), record.reason if record else ""


class InformedDreamer:
    """Knows more of its dreams than the dreamer of the tests."""

    def __init__(self, harness: ProcessorHarness) -> None:
        self.warm_up, self._dreamer = harness.dreamer.warm_up, harness.dreamer

    def dream(self, *arguments: Any, **options: Any) -> DreamResult:
        return replace(
            self._dreamer.dream(*arguments, **options),
            weights_sha256="5" * 64,
            precision="bfloat16",
            artworks=("anyone/work.jpg",),
            class_probabilities=(ClassProbability(name="dog", photo=0.1, dream=0.9),),
            critic="lite2",
            map_point=MapPoint(network="lite2", photo=(0.0, 0.0), dream=(1.0, 1.0)),
            people_seen=False,
        )


def test_a_sidecar_has_everything_that_made_the_dream(harness: ProcessorHarness) -> None:
    photo_id = harness.submit(1).photo_id
    job = Job(photo_id=photo_id, recipe=SHORT_RECIPE, seed=7, stages={Stage.CONVERT: 2.0})
    submit(harness.app, harness.table, job)
    harness.processor = JobProcessor(harness.settings, "w-1", InformedDreamer(harness))  # type: ignore[arg-type]
    started_at = time.time()
    assert process(harness, job) == (State.COMPLETED, "")
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    assert sidecar == Sidecar(
        job_id=job.id,
        photo_id=photo_id,
        photo=photo_name(photo_id),
        dream=dream_name(job.id),
        recipe=SHORT_RECIPE,
        seed=7,
        network="lite",
        weights="5" * 64,
        precision="bfloat16",
        artworks=("anyone/work.jpg",),
        verdicts=(ClassProbability(name="dog", photo=0.1, dream=0.9),),
        critic="lite2",
        place=MapPoint(network="lite2", photo=(0.0, 0.0), dream=(1.0, 1.0)),
        people_seen=False,
        program=get_program(),
        size=(256, 192),
        stages=sidecar.stages,
        completed_at=sidecar.completed_at,
    )
    assert started_at <= sidecar.completed_at <= time.time()
    assert sidecar.stages.keys() == {Stage.CONVERT, Stage.QUEUE, Stage.FETCH, Stage.DREAM, Stage.PUBLISH}
    assert all(seconds >= 0 for seconds in sidecar.stages.values())
    [completed] = [
        recorded.event for recorded in EventReader(harness.client).read() if isinstance(recorded.event, Completed)
    ]
    assert completed == sidecar.to_completed_event()
    for name in (dream_name(job.id), thumb_name(job.id)):
        with Image.open(io.BytesIO(harness.store.get(name) or b"")) as picture:
            assert picture.size == (256, 192)
    assert read_statement(harness.store.get(dream_name(job.id)) or b"") == Statement.of_sidecar(sidecar)
    assert read_statement(harness.store.get(thumb_name(job.id)) or b"") == Statement.brief()
    assert read_statement(harness.store.get(frame_name(job.id, 0)) or b"") == Statement.brief()
    assert read_statement(harness.store.get(photo_name(photo_id)) or b"") is None


def test_a_dream_that_is_stored_around_midnight_states_the_day_of_its_sidecar(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnights = itertools.count(86_400.0, 86_400.0)
    monkeypatch.setattr(execution, "time", SimpleNamespace(**vars(time) | {"time": lambda: next(midnights)}))
    job = harness.submit(1)
    assert process(harness, job) == (State.COMPLETED, "")
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    assert read_statement(harness.store.get(dream_name(job.id)) or b"") == Statement.of_sidecar(sidecar)


def test_a_dream_is_signed_if_the_installation_has_a_key(harness: ProcessorHarness, tmp_path: Path) -> None:
    key, certificate = make_key(tmp_path, "Museum of Example")
    settings = harness.settings.model_copy(update={"c2pa_key": key, "c2pa_certificate": certificate, "clips": False})
    job = harness.submit(1)
    harness.processor = JobProcessor(settings, "w-1", harness.dreamer)
    assert process(harness, job) == (State.COMPLETED, "")
    signature = read_signature(harness.store.get(dream_name(job.id)) or b"", certificate.read_bytes())
    assert signature
    assert signature.state is SignatureState.OWN
    assert read_signature(harness.store.get(thumb_name(job.id)) or b"") is None


def test_a_photo_that_is_missing_or_damaged_fails_with_its_name(harness: ProcessorHarness) -> None:
    missing, damaged = (harness.submit(number, lane=Lane.LIVE) for number in range(2))
    harness.store.delete(photo_name(missing.photo_id))
    harness.store.put(photo_name(damaged.photo_id), b"no picture")
    assert process(harness, missing) == (
        State.FAILED,
        f"The photo {photo_name(missing.photo_id)} is no longer in the store.",
    )
    assert process(harness, damaged) == (
        State.FAILED,
        f"The photo {photo_name(damaged.photo_id)} in the store is damaged.",
    )


@pytest.mark.parametrize(
    ("recipe", "reason", "kind"),
    [
        (FAILING, FAILURE_REASON, "expected"),
        (CRASHING, "The worker met a fault: RuntimeError. Its log has the details.", "bug"),
    ],
)
def test_a_dream_that_fails_is_told_and_counted(recipe: str, reason: str, kind: str, harness: ProcessorHarness) -> None:
    faults, failed = count_faults(kind), count_jobs("failed")
    job = harness.submit(1, SHORT_RECIPE.model_copy(update={"name": recipe}), lane=Lane.LIVE)
    assert process(harness, job) == (State.FAILED, reason)
    assert (count_faults(kind), count_jobs("failed")) == (faults + 1, failed + 1)


@pytest.mark.parametrize("visibility", Visibility)
def test_a_dream_that_an_earlier_attempt_published_is_announced_and_not_dreamt_again(
    visibility: Visibility, harness: ProcessorHarness
) -> None:
    """Fails without `restore_holds` for a dream that is held or hidden: a wiped broker shows it."""
    job = harness.submit(1, lane=Lane.LIVE)
    sidecar = make_sidecar(job, standing=visibility)
    harness.store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
    completed = count_jobs("completed")
    assert process(harness, job) == (State.COMPLETED, "")
    assert harness.dreamer.batch_sizes == []
    assert harness.table.are_not_visible([job.id]) == [visibility is not Visibility.SHOWN]
    assert read_sidecar(harness.store, job.id) == sidecar
    assert count_jobs("completed") == completed + 1


def test_a_dream_that_was_deleted_for_good_is_not_dreamt_again_though_the_broker_was_wiped(
    harness: ProcessorHarness,
) -> None:
    job = harness.submit(1, lane=Lane.LIVE)
    write_tombstone(harness.store, job.id)
    harness.store.put(dream_name(job.id), b"left by an earlier attempt")
    cancelled = count_jobs("cancelled")
    assert process(harness, job) == (State.DELETED, "")
    assert harness.dreamer.batch_sizes == []
    assert list(harness.store.list_objects(dream_prefix(job.id))) == []
    assert count_jobs("cancelled") == cancelled + 1


def test_a_worker_that_lost_its_lease_does_not_overwrite_its_successor_s_dream(harness: ProcessorHarness) -> None:
    """Fails without `require_lease`. The lease is lost after the last frame, so that only the broker knows."""
    job = harness.submit(1, lane=Lane.LIVE)

    class InterruptedDreamer:
        warm_up = harness.dreamer.warm_up

        def dream(self, *arguments: Any, **options: Any) -> DreamResult:
            result = harness.dreamer.dream(*arguments, **options)
            assert harness.table.requeue(job.id, dead_worker="w-1")
            assert harness.table.claim(job, "w-2")
            harness.store.put(dream_name(job.id), b"the successor's")
            return result

    harness.processor = JobProcessor(harness.settings, "w-1", InterruptedDreamer())  # type: ignore[arg-type]
    assert process(harness, job) == (State.STARTED, "")
    assert harness.store.get(dream_name(job.id)) == b"the successor's"
    assert harness.store.get(thumb_name(job.id)) is None


def test_approval_that_is_asked_for_during_a_dream_holds_its_sidecar_too(harness: ProcessorHarness) -> None:
    """Otherwise a display that reads the store would show the dream."""
    harness.dreamer.during_first_ascent = lambda: update_runtime_settings(harness.client, approval=True)
    job = harness.submit(1, lane=Lane.LIVE)
    assert process(harness, job) == (State.COMPLETED, "")
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    assert sidecar.standing is Visibility.HELD


def test_no_moment_shows_a_dream_that_needs_approval_to_who_reads_the_store(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    standings = record_standings(harness, monkeypatch)
    update_runtime_settings(harness.client, approval=True)
    job = harness.submit(1, lane=Lane.LIVE)
    assert process(harness, job) == (State.COMPLETED, "")
    assert standings == [Visibility.HELD]


def test_the_operator_s_setting_holds_batch_mates_and_guests_among_them_too(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = harness.settings.model_copy(update={"approval": True})
    harness.processor = JobProcessor(settings, "w-1", harness.dreamer)
    standings = record_standings(harness, monkeypatch)
    harness.dreamer.during_first_ascent = lambda: harness.submit(9, lane=Lane.LIVE)
    jobs = [harness.submit(number) for number in range(2)]
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2, 1]
    assert standings == [Visibility.HELD] * 3


def record_photos(harness: ProcessorHarness) -> list[Pixels]:
    """Record the photo with which each dream begins."""
    photos: list[Pixels] = []
    dream = harness.dreamer.dream

    def record_photo(photo: Pixels, *arguments: Any, **options: Any) -> DreamResult:
        photos.append(photo)
        return dream(photo, *arguments, **options)

    harness.dreamer.dream = record_photo  # type: ignore[method-assign]
    return photos


def test_the_photo_is_dreamt_as_it_was_sent(harness: ProcessorHarness) -> None:
    photos = record_photos(harness)
    harness.submit(0)
    job = harness.submit(1, lane=Lane.LIVE, size=(300, 200))
    assert process(harness, job) == (State.COMPLETED, "")
    with Image.open(io.BytesIO(harness.store.get(photo_name(job.photo_id)) or b"")) as stored:
        assert np.array_equal(photos[0], np.asarray(stored.convert("RGB")))


def submit_in_two_sizes(harness: ProcessorHarness, recipe: Recipe = LARGE_RECIPE) -> tuple[Job, bytes]:
    """Submit a job with a working photo of the size of the canvas. Returns it and its photo, which is not stored."""
    job = harness.submit(1, recipe, lane=Lane.LIVE, size=(256, 192))
    working_jpeg = harness.store.get(photo_name(job.photo_id)) or b""
    harness.store.put(working_photo_name(job.photo_id), working_jpeg)
    harness.store.delete(photo_name(job.photo_id))
    return job, encode_jpeg(make_picture(1, (1024, 768)))


def read_size(harness: ProcessorHarness, name: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(harness.store.get(name) or b"")) as picture:
        return picture.size


def test_a_dream_begins_with_the_working_photo_and_is_rendered_from_the_one_that_follows(
    harness: ProcessorHarness,
) -> None:
    photos = record_photos(harness)
    job, jpeg = submit_in_two_sizes(harness)
    harness.dreamer.during_first_ascent = lambda: harness.store.put(photo_name(job.photo_id), jpeg)
    assert process(harness, job) == (State.COMPLETED, "")
    assert [photo.shape for photo in photos] == [(192, 256, 3)]
    assert read_size(harness, dream_name(job.id)) == (512, 384)


def test_dreams_of_a_batch_are_rendered_from_their_own_full_photos(harness: ProcessorHarness) -> None:
    jobs = [harness.submit(number, LARGE_RECIPE, size=(512, 384)) for number in range(2)]
    photos = [Image.open(io.BytesIO(harness.store.get(photo_name(job.photo_id)) or b"")) for job in jobs]
    for job, photo in zip(jobs, photos, strict=True):
        harness.store.put(working_photo_name(job.photo_id), encode_jpeg(photo.resize((256, 192))))
    harness.deliver(jobs[0])
    assert harness.dreamer.batch_sizes == [2]
    for job, photo in zip(jobs, photos, strict=True):
        load_photo = partial(np.asarray, photo)
        dream = harness.dreamer.dream(load_photo(), LARGE_RECIPE, seed=job.seed, load_full_photo=load_photo)
        stored = harness.store.get(dream_name(job.id)) or b""
        assert decode_photo(stored, "").tobytes() == decode_photo(frames.encode_jpeg(dream.pixels), "").tobytes()


def test_a_dream_that_is_no_larger_than_its_working_photo_waits_for_nothing(harness: ProcessorHarness) -> None:
    job, _ = submit_in_two_sizes(harness, SHORT_RECIPE)
    assert process(harness, job) == (State.COMPLETED, "")
    assert read_size(harness, dream_name(job.id)) == (256, 192)


def test_a_photo_that_does_not_follow_costs_a_dream_its_detail_and_no_more(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_photo, "FULL_PHOTO_TIMEOUT_SECONDS", 0.3)
    job, _ = submit_in_two_sizes(harness)
    assert process(harness, job) == (State.COMPLETED, "")
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    assert sidecar.stages[Stage.FETCH] > 0.3
    assert "did not arrive in full" in caplog.text


def test_a_working_photo_that_is_too_small_for_the_canvas_is_not_dreamt(harness: ProcessorHarness) -> None:
    photos = record_photos(harness)
    job, jpeg = submit_in_two_sizes(harness, LARGE_RECIPE.model_copy(update={"canvas": 512}))
    harness.store.put(photo_name(job.photo_id), jpeg)
    assert process(harness, job) == (State.COMPLETED, "")
    assert [photo.shape for photo in photos] == [(768, 1024, 3)]


def test_a_panorama_whose_working_photo_is_too_small_for_its_larger_canvas_is_dreamt_from_its_photo(
    harness: ProcessorHarness,
) -> None:
    job = harness.submit(1, SHORT_RECIPE, lane=Lane.LIVE, size=(256, 64))
    harness.store.put(working_photo_name(job.photo_id), harness.store.get(photo_name(job.photo_id)) or b"")
    photos: list[Pixels] = []
    dream = harness.dreamer.dream
    harness.dreamer.dream = lambda photo, *rest, **options: [photos.append(photo), dream(photo, *rest, **options)][1]  # type: ignore
    harness.store.put(photo_name(job.photo_id), encode_jpeg(make_picture(1, (1024, 256))))
    assert process(harness, job) == (State.COMPLETED, "")
    assert photos[0].shape == (256, 1024, 3)


def test_no_worker_waits_for_the_photo_of_a_dream_that_was_deleted(harness: ProcessorHarness) -> None:
    """Seen failing without a look at the lease: the worker waited until the end of its patience."""
    job, _ = submit_in_two_sizes(harness)
    dream = harness.dreamer.dream

    def dream_deleted(*arguments: Any, load_full_photo: Callable[[], Pixels], **options: Any) -> DreamResult:
        def delete_and_load() -> Pixels:
            harness.table.delete(job.id, job.photo_id)
            return load_full_photo()

        return dream(*arguments, load_full_photo=delete_and_load, **options)

    harness.dreamer.dream = dream_deleted  # type: ignore[method-assign,assignment]
    started_at = time.monotonic()
    assert process(harness, job)[0] is State.DELETED
    assert time.monotonic() - started_at < job_photo.FULL_PHOTO_TIMEOUT_SECONDS
