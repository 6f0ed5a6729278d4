"""Nothing is left of what was deleted or cancelled, at whatever moment that happens."""

import threading
from collections.abc import Callable

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from PIL import Image

from shared.jobs.events import EventReader, Failed
from shared.jobs.job import Job, State
from shared.runtime_settings import update_runtime_settings
from shared.storage.deletion import delete_dream_objects, write_tombstone
from shared.storage.object_names import dream_prefix, frame_name, is_frame, photo_name, sidecar_name
from shared.storage.sidecar import read_sidecar
from tests.dreamer import hold_dreams
from tests.waiting import wait_until
from tests.worker.jobs.processor_harness import HELD_RECIPE, ProcessorHarness


def cancel(harness: ProcessorHarness, job: Job) -> None:
    assert harness.table.cancel(job.id)


def delete(harness: ProcessorHarness, job: Job) -> None:
    write_tombstone(harness.store, job.id)
    assert harness.table.delete(job.id, job.photo_id)
    delete_dream_objects(harness.store, job.id)


def list_objects(harness: ProcessorHarness, job: Job) -> list[str]:
    return [entry.name for entry in harness.store.list_objects(dream_prefix(job.id))]


def after_put(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], object]
) -> None:
    """Run an action once, after the processor has put an object."""
    store, actions = harness.processor._store, [action]
    put = store.put

    def put_and_act(put_name: str, data: bytes) -> None:
        put(put_name, data)
        if put_name == name and actions:
            actions.pop()()

    monkeypatch.setattr(store, "put", put_and_act)


@pytest.mark.parametrize("end", [cancel, delete])
def test_a_frame_that_arrives_after_the_end_is_deleted(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, end: Callable[[ProcessorHarness, Job], None]
) -> None:
    """Seen failing: a frame that a slow store took after the deletion stayed for good."""
    hold_dreams(harness.settings.data)  # so that a frame is certainly on its way when the job ends
    job, store = harness.submit(1, HELD_RECIPE), harness.processor._store
    ended, arrived, put = threading.Event(), threading.Event(), store.put

    def put_late(name: str, data: bytes) -> None:
        if is_frame(name):
            end(harness, job)
            ended.wait()
            put(name, data)
            arrived.set()
        else:
            put(name, data)

    monkeypatch.setattr(store, "put", put_late)
    harness.processor.process(job.id)
    ended.set()
    arrived.wait()
    wait_until(lambda: list_objects(harness, job) == [], "the frame is deleted")


@pytest.mark.parametrize("end", [cancel, delete])
def test_a_dream_that_is_cancelled_as_it_is_published_is_not_left_to_be_shown(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch, end: Callable[[ProcessorHarness, Job], None]
) -> None:
    """Seen failing: the sidecar of a cancelled dream stayed, and a wiped broker would have shown it."""
    job = harness.submit(1)
    after_put(harness, monkeypatch, sidecar_name(job.id), lambda: end(harness, job))
    harness.processor.process(job.id)
    wait_until(lambda: list_objects(harness, job) == [], "nothing is left")


def test_a_dream_that_fails_leaves_no_frames(harness: ProcessorHarness) -> None:
    """Seen failing: its frames stayed in the store for good."""

    def exceed_time_limit() -> None:
        harness.store.put(frame_name(job.id, 0), b"an earlier frame")
        raise SoftTimeLimitExceeded

    job = harness.submit(1)
    harness.dreamer.during_first_ascent = exceed_time_limit
    harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.FAILED]
    assert list_objects(harness, job) == []
    assert harness.table.list_leftovers() == []


def test_a_dream_that_fails_at_its_time_limit_as_it_is_published_is_not_left_to_be_shown(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exceed_time_limit() -> None:
        raise SoftTimeLimitExceeded

    job = harness.submit(1)
    after_put(harness, monkeypatch, sidecar_name(job.id), exceed_time_limit)
    harness.processor.process(job.id)
    assert harness.read_states([job]) == [State.FAILED]
    assert read_sidecar(harness.store, job.id) is None


def test_a_dream_that_is_deleted_while_its_approval_is_noted_stays_deleted(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approval is switched on as the dream is published, so that its sidecar is written twice. Seen failing."""
    job = harness.submit(1)
    after_put(
        harness, monkeypatch, sidecar_name(job.id), lambda: update_runtime_settings(harness.client, approval=True)
    )
    complete = harness.processor._table.complete

    def complete_and_delete(*arguments: object) -> object:
        visibility = complete(*arguments)  # type: ignore[arg-type]
        delete(harness, job)
        return visibility

    monkeypatch.setattr(harness.processor._table, "complete", complete_and_delete)
    harness.processor.process(job.id)
    wait_until(lambda: list_objects(harness, job) == [], "nothing is left")


def test_a_photo_with_far_too_many_pixels_is_said_to_be_damaged(
    harness: ProcessorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: "The worker met a fault: DecompressionBombError"."""
    job = harness.submit(1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    harness.processor.process(job.id)
    events = [recorded.event for recorded in EventReader(harness.client).read(max_events=1000)]
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert failed.reason == f"The photo {photo_name(job.photo_id)} in the store is damaged."
