"""A wiped broker: dreams that may not be seen stay invisible, and runtime settings are restored."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from display.moderation import Moderation
from display.state.dream_index import DreamIndex
from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, dream_name, frame_name, photo_name
from shared.storage.store import Store
from tests.display.conftest import DisplayProcess
from tests.display.fake_pipeline import FakePipeline
from tests.display.media.test_routes import send_request
from tests.waiting import wait_until


@pytest.fixture
def moderation(display_settings: Settings) -> Moderation:
    dream_index = DreamIndex()
    dream_index.load_from_store(Store(display_settings.store), lambda job_ids: [False] * len(job_ids), lambda: None)
    return Moderation(display_settings, dream_index)


def read_statuses(display: DisplayProcess, *names: str) -> set[int]:
    return {send_request(display, f"/pictures/{name}").status for name in names}


def test_nothing_unapproved_is_seen_on_a_wall_whose_broker_was_wiped(
    display: DisplayProcess, pipeline: FakePipeline, moderation: Moderation, open_wall: Callable[..., Page]
) -> None:
    moderation.change_settings(approval=True)
    wall = open_wall()
    pipeline.client.flushall()
    job = pipeline.submit_photo((10, 90, 160))  # before the display restores the runtime settings
    claim = pipeline.claim_job(job)
    pipeline.publish_frame(claim, 1)
    names = [photo_name(job.photo_id), frame_name(job.id, 1), dream_name(job.id)]
    wait_until(lambda: send_request(display, "/gallery/dreams").status == 200, "the display answers")
    assert read_statuses(display, *names) == {404}
    pipeline.complete_job(claim)
    moderation.change_settings(approval=False)
    approved_job = pipeline.add_dream((200, 90, 160))  # once it is shown, all events before it are processed
    wait_until(
        lambda: read_statuses(display, dream_name(approved_job.id)) == {200}, "a dream that needs no approval is shown"
    )
    assert read_statuses(display, *names) == {404}
    wall.wait_for_selector(f'.wall[data-scene=dream] img[data-dream="{dream_name(approved_job.id)}"]')
    assert wall.locator(f'[data-job-id="{job.id}"]').count() == 0


def test_a_display_tells_a_wiped_broker_what_was_decided_before_anybody_comes(
    display: DisplayProcess, pipeline: FakePipeline, moderation: Moderation, display_settings: Settings
) -> None:
    moderation.change_settings(approval=True, retention_days=30, recipes=("lines",), opened_at=1000.0)
    settings_before = read_runtime_settings(pipeline.client, display_settings)
    pipeline.client.flushall()
    wait_until(
        lambda: read_runtime_settings(pipeline.client, display_settings) == settings_before, "everything is as it was"
    )


def test_a_display_that_starts_with_a_new_broker_tells_it_too(
    display: DisplayProcess, pipeline: FakePipeline, moderation: Moderation, display_settings: Settings
) -> None:
    moderation.change_settings(approval=True)
    display.stop()
    pipeline.client.flushall()
    display.start()
    wait_until(lambda: read_runtime_settings(pipeline.client, display_settings).approval, "approval is asked for again")


def test_a_hidden_dream_does_not_come_back_with_its_photo(
    display: DisplayProcess, pipeline: FakePipeline, moderation: Moderation, display_settings: Settings
) -> None:
    hidden_job = pipeline.add_dream((10, 90, 160))
    wait_until(lambda: read_statuses(display, dream_name(hidden_job.id)) == {200}, "the dream is shown")
    dream_index = DreamIndex()
    dream_index.load_from_store(pipeline.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    Moderation(display_settings, dream_index).hide(hidden_job.id)
    wait_until(lambda: read_statuses(display, dream_name(hidden_job.id)) == {404}, "the dream is hidden")
    pipeline.client.flushall()
    assert pipeline.add_dream((10, 90, 160)).id == hidden_job.id
    next_job = pipeline.add_dream((200, 90, 160))
    wait_until(lambda: read_statuses(display, dream_name(next_job.id)) == {200}, "the next dream is shown")
    assert read_statuses(display, dream_name(hidden_job.id)) == {404}


def test_what_somebody_else_decided_is_noted_too(display: DisplayProcess, pipeline: FakePipeline) -> None:
    pipeline.add_dream((1, 2, 3))
    update_runtime_settings(pipeline.client, retention_days=5)
    wait_until(
        lambda: b'"retention_days": 5' in (pipeline.store.get(RUNTIME_SETTINGS_NAME) or b""), "it is in the store"
    )
