"""A broker that lost its memory: nobody sees what they may not, and nothing that was decided is lost."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from display.console.moderation import Moderation
from display.state.dream_index import DreamIndex
from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import RUNTIME_SETTINGS_NAME, dream_name, frame_name, photo_name
from shared.storage.store import Store
from tests.display.conftest import Display, Valkey, until
from tests.display.fake_pipeline import Studio
from tests.display.media.test_routes import ask


@pytest.fixture
def curator(display_settings: Settings) -> Moderation:
    archive = DreamIndex()
    archive.load_from_store(Store(display_settings.store), lambda job_ids: [False] * len(job_ids), lambda: None)
    return Moderation(display_settings, archive)


def statuses(display: Display, *names: str) -> set[int]:
    return {ask(display, f"/pictures/{name}").status for name in names}


def test_nothing_unapproved_is_seen_on_a_wall_whose_broker_was_wiped(
    display: Display, studio: Studio, curator: Moderation, open_wall: Callable[..., Page]
) -> None:
    curator.change_settings(approval=True)
    wall = open_wall()
    studio.client.flushall()
    job = studio.photo((10, 90, 160))  # a guest is quicker than the display
    claim = studio.start(job)
    studio.frame(claim, 1)
    names = [photo_name(job.photo_id), frame_name(job.id, 1), dream_name(job.id)]
    until(lambda: ask(display, "/gallery/dreams").status == 200, "the display answers")
    assert statuses(display, *names) == {404}
    studio.finish(claim)
    curator.change_settings(approval=False)
    free = studio.dream((200, 90, 160))  # when this is seen, all before it was heard
    until(lambda: statuses(display, dream_name(free.id)) == {200}, "a dream that needs no approval is shown")
    assert statuses(display, *names) == {404}
    wall.wait_for_selector(f'.wall[data-scene=dream] img[data-dream="{dream_name(free.id)}"]')
    assert wall.locator(f'[data-job-id="{job.id}"]').count() == 0


def test_a_display_tells_a_wiped_broker_what_was_decided_before_anybody_comes(
    display: Display, studio: Studio, curator: Moderation, display_settings: Settings
) -> None:
    curator.change_settings(approval=True, retention_days=30, recipes=("lines",), opened_at=1000.0)
    before = read_runtime_settings(studio.client, display_settings)
    studio.client.flushall()
    until(lambda: read_runtime_settings(studio.client, display_settings) == before, "everything is as it was")


def test_a_display_that_starts_with_a_new_broker_tells_it_too(
    display: Display, studio: Studio, curator: Moderation, display_settings: Settings, valkey: Valkey
) -> None:
    curator.change_settings(approval=True)
    display.stop()
    studio.client.flushall()
    display.start()
    until(lambda: read_runtime_settings(studio.client, display_settings).approval, "approval is asked for again")


def test_a_hidden_dream_does_not_come_back_with_its_photo(
    display: Display, studio: Studio, curator: Moderation, display_settings: Settings
) -> None:
    hidden = studio.dream((10, 90, 160))
    until(lambda: statuses(display, dream_name(hidden.id)) == {200}, "the dream is shown")
    archive = DreamIndex()
    archive.load_from_store(studio.store, lambda job_ids: [False] * len(job_ids), lambda: None)
    Moderation(display_settings, archive).hide(hidden.id)
    until(lambda: statuses(display, dream_name(hidden.id)) == {404}, "the dream is hidden")
    studio.client.flushall()
    assert studio.dream((10, 90, 160)).id == hidden.id
    free = studio.dream((200, 90, 160))
    until(lambda: statuses(display, dream_name(free.id)) == {200}, "the next dream is shown")
    assert statuses(display, dream_name(hidden.id)) == {404}


def test_what_somebody_else_decided_is_noted_too(display: Display, studio: Studio) -> None:
    studio.dream((1, 2, 3))
    update_runtime_settings(studio.client, retention_days=5)
    until(lambda: b'"retention_days": 5' in (studio.store.get(RUNTIME_SETTINGS_NAME) or b""), "it is in the store")
