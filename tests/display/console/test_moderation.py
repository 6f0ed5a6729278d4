"""What the operator does to a dream, with a real broker and a real store."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from display.console.moderation import PENDING_DELETIONS_KEY, Moderation
from display.state.dream_index import Dream, DreamIndex
from shared.errors import ArtDreamError
from shared.jobs.events import Deleted, EventReader, Hidden, Shown
from shared.jobs.job import Job, State
from shared.jobs.queue import count_queued
from shared.jobs.table import JobTable
from shared.runtime_settings import read_runtime_settings, update_runtime_settings
from shared.settings import Settings
from shared.storage.object_names import (
    RUNTIME_SETTINGS_NAME,
    clip_name,
    dream_name,
    frame_name,
    photo_name,
    sidecar_name,
    thumb_name,
    tombstone_name,
)
from shared.storage.sidecar import Visibility, read_sidecar
from tests.display.fake_pipeline import RECIPE, Studio


@pytest.fixture
def archive() -> DreamIndex:
    archive = DreamIndex()
    archive.is_complete = True
    return archive


@pytest.fixture
def curator(display_settings: Settings, archive: DreamIndex) -> Moderation:
    return Moderation(display_settings, archive)


def dreamt(studio: Studio, archive: DreamIndex, colour: tuple[int, int, int] = (1, 2, 3), **recipe: object) -> Job:
    job = studio.dream(colour, recipe=RECIPE.model_copy(update=recipe), thumb=True)
    studio.store.put(clip_name(job.id), b"moving")
    sidecar = read_sidecar(studio.store, job.id)
    assert sidecar
    archive.put(Dream.from_sidecar(sidecar))
    return job


def standing(studio: Studio, job: Job) -> Visibility:
    sidecar = read_sidecar(studio.store, job.id)
    assert sidecar
    return sidecar.standing


def names_of(job: Job) -> list[str]:
    named = (dream_name, thumb_name, sidecar_name, clip_name)
    return [*(name(job.id) for name in named), frame_name(job.id, 4)]


def test_a_deleted_dream_leaves_a_tombstone_and_nothing_else(
    studio: Studio, archive: DreamIndex, curator: Moderation
) -> None:
    job = dreamt(studio, archive)
    curator.delete(job.id)
    assert [studio.store.get(name) for name in [*names_of(job), photo_name(job.photo_id)]] == [None] * 6
    assert studio.store.get(tombstone_name(job.id))
    assert JobTable(studio.client).get_state(job.id) is State.DELETED
    assert isinstance(EventReader(studio.client).read()[-1].event, Deleted)
    curator.delete(job.id)  # once more changes nothing
    assert not JobTable(studio.client).accept(job).is_new


def test_a_photo_stays_as_long_as_another_dream_is_of_it(
    studio: Studio, archive: DreamIndex, curator: Moderation
) -> None:
    one, other = dreamt(studio, archive), dreamt(studio, archive, version=99)
    assert one.photo_id == other.photo_id
    curator.delete(one.id)
    assert studio.store.get(photo_name(one.photo_id))
    assert studio.store.get(dream_name(other.id))
    curator.delete(other.id)
    assert studio.store.get(photo_name(one.photo_id)) is None


def test_what_cannot_be_deleted_now_is_hidden_now_and_deleted_later(
    studio: Studio, archive: DreamIndex, curator: Moderation, display_settings: Settings
) -> None:
    job = dreamt(studio, archive)
    folder = display_settings.data / "store"
    away = folder.rename(folder.with_name("away"))
    folder.touch()
    with pytest.raises(ArtDreamError, match="no longer shown, but its files are still in the store"):
        curator.delete(job.id)
    assert not archive.is_visible(job.id)
    assert isinstance(EventReader(studio.client).read()[-1].event, Deleted)
    folder.unlink()
    away.rename(folder)
    curator.clean_up()
    assert [studio.store.get(name) for name in [*names_of(job), photo_name(job.photo_id)]] == [None] * 6
    assert studio.client.scard(PENDING_DELETIONS_KEY) == 0


def test_hiding_is_undone_by_showing_and_the_store_remembers_both(
    studio: Studio, archive: DreamIndex, curator: Moderation
) -> None:
    job = dreamt(studio, archive)
    curator.hide(job.id)
    assert standing(studio, job) is Visibility.HIDDEN
    assert isinstance(EventReader(studio.client).read()[-1].event, Hidden)
    curator.show(job.id)
    assert standing(studio, job) is Visibility.SHOWN
    shown = EventReader(studio.client).read()[-1].event
    assert isinstance(shown, Shown)
    assert shown.completed.dream == dream_name(job.id)


def test_a_photo_is_dreamt_again_with_another_recipe(studio: Studio, archive: DreamIndex, curator: Moderation) -> None:
    job = dreamt(studio, archive)
    again = JobTable(studio.client).get_job(curator.resubmit_with_recipe(job.id, "lines"))
    assert again
    assert (again.photo_id, again.recipe.name) == (job.photo_id, "lines")
    assert count_queued(studio.client, again.lane) == 1
    with pytest.raises(ArtDreamError, match="nothing to dream again: the job is queued"):
        curator.resubmit_with_recipe(job.id, "lines")


def test_a_failed_job_is_tried_again(studio: Studio, curator: Moderation) -> None:
    job = studio.photo((5, 5, 5))
    studio.fail(studio.start(job))
    curator.retry(job.id)
    assert JobTable(studio.client).get_state(job.id) is State.QUEUED


def test_what_is_older_than_it_may_become_is_deleted(studio: Studio, archive: DreamIndex, curator: Moderation) -> None:
    old, new = dreamt(studio, archive, (1, 1, 1)), dreamt(studio, archive, (200, 1, 1))
    dream = archive.find(old.id)
    assert dream
    archive.put(replace(dream, completed_at=time.time() - 3 * 86_400))
    assert curator.clean_up() == 0  # nothing said how long
    update_runtime_settings(studio.client, retention_days=2)
    assert curator.clean_up() == 1
    assert studio.store.get(dream_name(old.id)) is None
    assert studio.store.get(dream_name(new.id))


def test_a_new_event_begins_with_empty_walls_and_keeps_every_dream(
    studio: Studio, archive: DreamIndex, curator: Moderation, display_settings: Settings
) -> None:
    job = dreamt(studio, archive)
    time.sleep(1.1)  # events are opened by the second
    curator.open_event()
    archive.opened_at = read_runtime_settings(studio.client, display_settings).opened_at
    assert archive.list_newest(9) == []
    assert archive.is_visible(job.id)


def test_a_broker_that_is_away_is_said_to_be_away_and_nothing_is_half_done(
    studio: Studio, archive: DreamIndex, tmp_path: Path
) -> None:
    job = dreamt(studio, archive)
    nowhere = Settings(data=tmp_path / "data", broker_url="redis://127.0.0.1:1/0", _env_file=None)
    curator = Moderation(nowhere, archive)
    for action in (curator.delete, curator.hide, curator.show, curator.retry):
        with pytest.raises(ArtDreamError, match="The broker is away"):
            action(job.id)
    assert archive.is_visible(job.id)
    assert all(studio.store.get(name) for name in names_of(job))


def test_what_is_decided_while_the_store_is_away_holds_and_is_noted_later(
    studio: Studio, curator: Moderation, display_settings: Settings
) -> None:
    studio.photo((1, 2, 3))
    folder = display_settings.data / "store"
    away = folder.rename(folder.with_name("away"))
    folder.touch()
    with pytest.raises(ArtDreamError, match="It is decided, and noted in the store as soon as"):
        curator.change_settings(approval=True)
    assert read_runtime_settings(studio.client, display_settings).approval
    folder.unlink()
    away.rename(folder)
    curator.persist_settings()
    assert b'"approval": true' in (studio.store.get(RUNTIME_SETTINGS_NAME) or b"")


def test_an_unknown_dream_is_said_to_be_unknown(curator: Moderation) -> None:
    for action in (curator.delete, curator.hide):
        with pytest.raises(ArtDreamError, match="There is no dream ffffffff"):
            action("f" * 32)
