"""A candidate that cannot be dreamt costs no guest the dream: the current version stands in, under the same job."""

from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from shared.errors import ArtDreamError
from shared.jobs.job import Job, State
from shared.jobs.queue import submit
from shared.jobs.state_machine import MAX_ATTEMPTS
from shared.jobs.table import Claim
from shared.monitoring.comparison_report import ComparisonNumbers, list_comparisons
from shared.monitoring.usage_counts import read_usage_counts
from shared.monitoring.usage_report import merge_counts
from shared.recipe.canary import Canary
from shared.recipe.recipe import Recipe
from shared.storage.object_names import frame_name, frames_prefix, photo_name, working_photo_name
from shared.storage.sidecar import Sidecar, read_sidecar
from tests.dreamer import CRASHING, FAILING, FAILURE_REASON
from tests.pictures import encode_jpeg, make_picture
from tests.worker.jobs.processor_harness import SHORT_RECIPE, ProcessorHarness
from worker.dreamer import DreamResult
from worker.jobs.execution import JobExecution
from worker.jobs.lease import Released
from worker.jobs.processor import JobProcessor


class WorkerWithoutCandidate:
    """Cannot dream version 2 of any recipe: raises what it is given, at once or after some frames."""

    def __init__(self, harness: ProcessorHarness, error: Exception, *, after_frames: bool = False) -> None:
        self.warm_up, self._dreamer = harness.dreamer.warm_up, harness.dreamer
        self._error, self._after_frames = error, after_frames
        #: Of the photos that it was given.
        self.widths: list[int] = []

    def dream(self, photo: Any, recipe: Recipe, **options: Any) -> DreamResult:
        self.widths.append(photo.shape[1])
        if recipe.version != 2:
            return self._dreamer.dream(photo, recipe, **options)
        if self._after_frames:
            self._dreamer.dream(photo, recipe, **options)
        raise self._error


def submit_candidate(harness: ProcessorHarness, current: Recipe = SHORT_RECIPE, **changes: object) -> Job:
    """Submit a photo that gets version 2 of a recipe."""
    photo_id = harness.submit(1).photo_id
    candidate = current.model_copy(update={"version": 2} | changes)
    recipe, comparison = Canary(candidate=candidate, percent=100).assign(current, photo_id)
    job = Job(photo_id=photo_id, recipe=recipe, comparison=comparison)
    submit(harness.app, harness.table, job)
    return job


def process(harness: ProcessorHarness, job: Job) -> Sidecar:
    harness.processor.process(job.id)
    assert harness.table.get_state(job.id) is State.COMPLETED
    sidecar = read_sidecar(harness.store, job.id)
    assert sidecar
    return sidecar


def claim(harness: ProcessorHarness, job: Job, worker: str) -> Claim:
    claim = harness.table.claim(job, worker)
    assert claim
    return claim


def read_comparison(harness: ProcessorHarness) -> ComparisonNumbers:
    counts = read_usage_counts(harness.client, harness.store, 0, 2**31)
    [comparison] = list_comparisons(merge_counts(counts.values()))
    return comparison


def test_a_candidate_is_dreamt_and_its_seconds_are_counted(harness: ProcessorHarness) -> None:
    sidecar = process(harness, submit_candidate(harness))
    assert sidecar.recipe.version == 2
    candidate = read_comparison(harness).candidate
    assert (candidate.photos, candidate.dreams, candidate.failed.number) == (1, 1, 0)
    assert candidate.dream_median_seconds


@pytest.mark.parametrize(
    ("error", "after_frames"),
    [
        (ArtDreamError("The network has no layer block99."), False),
        (ArtDreamError("The dream ran away."), True),
        (MemoryError("The canvas is too large."), False),
    ],
)
def test_a_candidate_that_a_worker_cannot_dream_is_replaced_by_the_current_version(
    harness: ProcessorHarness, error: Exception, after_frames: bool, caplog: pytest.LogCaptureFixture
) -> None:
    dreamer = WorkerWithoutCandidate(harness, error, after_frames=after_frames)
    harness.processor = JobProcessor(harness.settings, "w-1", dreamer)  # type: ignore[arg-type]
    job = submit_candidate(harness)
    sidecar = process(harness, job)
    assert (sidecar.recipe, sidecar.job_id) == (SHORT_RECIPE, job.id)
    assert f"so its guest gets version 1: {error}" in caplog.text
    candidate = read_comparison(harness).candidate
    assert (candidate.dreams, candidate.failed.number, candidate.replaced) == (0, 1, 1)


def test_a_candidate_whose_worker_died_is_replaced_by_the_current_version(harness: ProcessorHarness) -> None:
    """Seen failing: it was dreamt again, and killed each worker until the guest's photo failed."""
    job = submit_candidate(harness)
    claim(harness, job, "w-dead")
    harness.store.put(frame_name(job.id, 99), b"of the candidate, and not for the clip")
    harness.table.requeue(job.id, dead_worker="w-dead")
    assert process(harness, job).recipe == SHORT_RECIPE
    assert frame_name(job.id, 99) not in [each.name for each in harness.store.list_objects(frames_prefix(job.id))]
    candidate = read_comparison(harness).candidate
    assert (candidate.dreams, candidate.failed.number, candidate.replaced) == (0, 1, 1)


def test_a_candidate_that_takes_too_long_is_replaced_by_the_current_version(harness: ProcessorHarness) -> None:
    """Seen failing: the photo failed, as that of any recipe does which takes too long."""
    dreamer = WorkerWithoutCandidate(harness, SoftTimeLimitExceeded(), after_frames=True)
    harness.processor = JobProcessor(harness.settings, "w-1", dreamer)  # type: ignore[arg-type]
    job = submit_candidate(harness)
    with pytest.raises(Released):  # so its message goes back to its lane
        harness.processor.process(job.id)
    assert harness.table.get_state(job.id) is State.QUEUED
    assert process(harness, job).recipe == SHORT_RECIPE
    assert read_comparison(harness).candidate.replaced == 1


def test_a_photo_of_which_both_versions_take_too_long_fails(harness: ProcessorHarness) -> None:
    def take_too_long() -> None:
        raise SoftTimeLimitExceeded

    job = submit_candidate(harness)
    harness.dreamer.during_first_ascent = take_too_long
    with pytest.raises(Released):
        harness.processor.process(job.id)
    harness.dreamer.batch_sizes.clear()
    harness.processor.process(job.id)
    record = harness.table.get_record(job.id)
    assert record
    assert record.reason == f"The dream took longer than {harness.settings.time_limit_seconds} s."
    candidate = read_comparison(harness).candidate
    assert (candidate.photos, candidate.failed.number, candidate.replaced) == (1, 1, 0)


def test_a_candidate_whose_worker_had_to_stop_is_dreamt_by_the_next(harness: ProcessorHarness) -> None:
    job = submit_candidate(harness)
    assert harness.table.release(claim(harness, job, "w-stopped"))
    assert process(harness, job).recipe.version == 2


def test_a_candidate_whose_worker_died_after_its_dream_was_published_counts_as_dreamt(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit_candidate(harness)
    monkeypatch.setattr(JobExecution, "complete", lambda *_: None)
    harness.processor.process(job.id)
    monkeypatch.undo()
    harness.table.requeue(job.id, dead_worker="w-1")
    assert process(harness, job).recipe.version == 2
    candidate = read_comparison(harness).candidate
    assert (candidate.dreams, candidate.failed.number, candidate.replaced) == (1, 0, 0)


def test_a_photo_of_which_each_worker_dies_fails_once(harness: ProcessorHarness) -> None:
    job = submit_candidate(harness)
    for _ in range(MAX_ATTEMPTS):
        claim(harness, job, "w-dead")
        harness.table.requeue(job.id, dead_worker="w-dead")
    harness.processor.process(job.id)
    assert harness.table.get_state(job.id) is State.FAILED
    assert harness.list_ended_jobs() == [job.id]
    candidate = read_comparison(harness).candidate
    assert (candidate.photos, candidate.failed.number, candidate.replaced) == (1, 1, 0)


def test_a_candidate_with_a_network_that_no_job_may_name_is_never_loaded(harness: ProcessorHarness) -> None:
    sidecar = process(harness, submit_candidate(harness, network="https://networks.example/evil.keras"))
    assert (sidecar.recipe, sidecar.network) == (SHORT_RECIPE, "lite")
    assert read_comparison(harness).candidate.replaced == 1


def test_no_job_reaches_a_network_that_is_not_allowed_by_way_of_the_current_version(harness: ProcessorHarness) -> None:
    evil = "https://networks.example/evil.keras"
    job = submit_candidate(harness, SHORT_RECIPE.model_copy(update={"network": evil}), network="lite")
    harness.processor.process(job.id)
    assert harness.table.get_state(job.id) is State.FAILED
    assert harness.dreamer.batch_sizes == []


def test_the_current_version_gets_the_photo_as_large_as_it_needs(harness: ProcessorHarness) -> None:
    dreamer = WorkerWithoutCandidate(harness, ArtDreamError("No."))
    harness.processor = JobProcessor(harness.settings, "w-1", dreamer)  # type: ignore[arg-type]
    job = submit_candidate(harness, SHORT_RECIPE.model_copy(update={"canvas": 512}), canvas=256)
    harness.store.put(photo_name(job.photo_id), encode_jpeg(make_picture(1, (800, 600))))
    harness.store.put(working_photo_name(job.photo_id), encode_jpeg(make_picture(1, (256, 192))))
    assert process(harness, job).size == (512, 384)
    assert dreamer.widths == [256, 800]


@pytest.mark.parametrize("name", [FAILING, CRASHING])
def test_a_photo_fails_only_if_neither_version_can_be_dreamt(harness: ProcessorHarness, name: str) -> None:
    job = submit_candidate(harness, SHORT_RECIPE.model_copy(update={"name": name}))
    harness.processor.process(job.id)
    record = harness.table.get_record(job.id)
    assert record
    assert record.state is State.FAILED
    assert record.reason == FAILURE_REASON or "fault: RuntimeError" in record.reason
    candidate = read_comparison(harness).candidate
    assert (candidate.photos, candidate.failed.number, candidate.replaced) == (1, 1, 0)
