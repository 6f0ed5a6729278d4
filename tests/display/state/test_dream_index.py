"""Every dream there is, and who may see it."""

from dataclasses import replace
from pathlib import Path

import pytest

from display.state.dream_index import SIDECARS_PER_UPDATE, Dream, DreamIndex
from shared.jobs.job import Job
from shared.recipe.recipe import DEFAULT_RECIPE, load_recipe
from shared.storage.deletion import write_tombstone
from shared.storage.object_names import dream_name, photo_name, sidecar_name
from shared.storage.sidecar import Sidecar, Visibility
from shared.storage.store import Store

PHOTO = photo_name("a" * 64)


def dream(number: int, standing: Visibility = Visibility.SHOWN) -> Dream:
    return Dream(float(number), f"{number:032x}", "animals", "Animals", PHOTO, "d", visibility=standing)


def names(dreams: list[Dream]) -> list[int]:
    return [int(one.job_id, 16) for one in dreams]


def remembered(store: Store, number: int, standing: Visibility = Visibility.SHOWN) -> str:
    job = Job(photo_id=f"{number:064x}", recipe=load_recipe(DEFAULT_RECIPE))
    sidecar = Sidecar(
        job_id=job.id,
        photo_id=job.photo_id,
        photo=photo_name(job.photo_id),
        dream=dream_name(job.id),
        recipe=job.recipe,
        seed=0,
        network="lite",
        weights="0" * 64,
        size=(320, 240),
        stages={},
        completed_at=float(number),
        standing=standing,
    )
    store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
    return job.id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def test_a_held_dream_is_seen_by_nobody_until_it_is_shown() -> None:
    archive = DreamIndex()
    archive.put(dream(1, Visibility.HELD))
    assert archive.list_newest(9) == archive.list_page(before=None) == []
    assert archive.list_filters()["count"] == 0
    assert not archive.is_visible(dream(1).job_id)
    assert not archive.is_photo_visible(PHOTO)
    archive.put(dream(1))
    assert names(archive.list_newest(9)) == [1]
    assert archive.is_visible(dream(1).job_id)
    assert archive.is_photo_visible(PHOTO)


def test_a_photo_is_seen_as_long_as_one_of_its_dreams() -> None:
    archive = DreamIndex()
    archive.add(dream(1))
    archive.add(dream(2))
    archive.hide(dream(1).job_id)
    assert archive.is_photo_visible(PHOTO)
    archive.delete(dream(2).job_id)
    assert not archive.is_photo_visible(PHOTO)


def test_a_deleted_dream_never_comes_back() -> None:
    archive = DreamIndex()
    archive.add(dream(1))
    archive.delete(dream(1).job_id)
    archive.add(dream(1))
    archive.put(dream(1))
    assert archive.find(dream(1).job_id) is None
    assert archive.list_all() == []


def test_what_was_dreamt_before_the_event_was_opened_is_no_longer_leafed_through_but_its_links_live() -> None:
    archive = DreamIndex()
    for number in (1, 2, 3):
        archive.add(dream(number))
    archive.opened_at = 2.5
    assert names(archive.list_newest(9)) == names(archive.list_page(before=None)) == [3]
    assert archive.is_visible(dream(1).job_id)
    assert names(archive.list_all()) == [3, 2, 1]


def test_a_store_is_recalled_whole_however_many_dreams_it_holds(store: Store) -> None:
    for number in range(SIDECARS_PER_UPDATE + 5):
        remembered(store, number)
    store.put(sidecar_name("f" * 32), b"damaged")
    archive, told = DreamIndex(), list[int]()
    archive.load_from_store(store, lambda ids: [False] * len(ids), lambda: told.append(len(archive.list_all())))
    assert archive.is_complete
    assert len(archive.list_all()) == told[-1] == SIDECARS_PER_UPDATE + 5
    assert told[0] <= SIDECARS_PER_UPDATE


def test_a_recalled_dream_stands_as_sidecar_broker_and_tombstone_say(store: Store) -> None:
    shown, held, hidden, doubted, deleted = (
        remembered(store, number, standing)
        for number, standing in enumerate(
            (Visibility.SHOWN, Visibility.HELD, Visibility.HIDDEN, Visibility.SHOWN, Visibility.SHOWN)
        )
    )
    write_tombstone(store, deleted)
    archive = DreamIndex()
    archive.load_from_store(store, lambda ids: [one == doubted for one in ids], lambda: None)
    assert [archive.is_visible(one) for one in (shown, held, hidden, doubted)] == [True, False, False, False]
    assert archive.find(deleted) is None
    # Hiding by the operator is not taken for waiting.
    assert [archive.list_all()[3 - n].visibility for n in (1, 2, 3)] == [
        Visibility.HELD,
        Visibility.HIDDEN,
        Visibility.HELD,
    ]


def test_news_are_not_overwritten_by_what_the_store_remembers(store: Store) -> None:
    job_id = remembered(store, 1)
    archive = DreamIndex()
    archive.put(replace(dream(7, Visibility.HIDDEN), job_id=job_id))
    archive.load_from_store(store, lambda ids: [False] * len(ids), lambda: None)
    assert not archive.is_visible(job_id)
