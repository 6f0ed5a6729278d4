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

PHOTO_NAME = photo_name("a" * 64)


def make_dream(number: int, visibility: Visibility = Visibility.SHOWN) -> Dream:
    return Dream(float(number), f"{number:032x}", "animals", "Animals", PHOTO_NAME, "d", visibility=visibility)


def list_numbers(dreams: list[Dream]) -> list[int]:
    return [int(one.job_id, 16) for one in dreams]


def store_sidecar(store: Store, number: int, visibility: Visibility = Visibility.SHOWN) -> str:
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
        standing=visibility,
    )
    store.put(sidecar_name(job.id), sidecar.model_dump_json().encode())
    return job.id


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


def test_a_held_dream_is_seen_by_nobody_until_it_is_shown() -> None:
    archive = DreamIndex()
    archive.put(make_dream(1, Visibility.HELD))
    assert archive.list_newest(9) == archive.list_page(before=None) == []
    assert archive.list_filters()["count"] == 0
    assert not archive.is_visible(make_dream(1).job_id)
    assert not archive.is_photo_visible(PHOTO_NAME)
    archive.put(make_dream(1))
    assert list_numbers(archive.list_newest(9)) == [1]
    assert archive.is_visible(make_dream(1).job_id)
    assert archive.is_photo_visible(PHOTO_NAME)


def test_a_photo_is_seen_as_long_as_one_of_its_dreams() -> None:
    archive = DreamIndex()
    archive.add(make_dream(1))
    archive.add(make_dream(2))
    archive.hide(make_dream(1).job_id)
    assert archive.is_photo_visible(PHOTO_NAME)
    archive.delete(make_dream(2).job_id)
    assert not archive.is_photo_visible(PHOTO_NAME)


def test_a_deleted_dream_never_comes_back() -> None:
    archive = DreamIndex()
    archive.add(make_dream(1))
    archive.delete(make_dream(1).job_id)
    archive.add(make_dream(1))
    archive.put(make_dream(1))
    assert archive.find(make_dream(1).job_id) is None
    assert archive.list_all() == []


def test_dreams_from_before_the_event_leave_the_gallery_but_keep_their_links() -> None:
    archive = DreamIndex()
    for number in (1, 2, 3):
        archive.add(make_dream(number))
    archive.opened_at = 2.5
    assert list_numbers(archive.list_newest(9)) == list_numbers(archive.list_page(before=None)) == [3]
    assert archive.is_visible(make_dream(1).job_id)
    assert list_numbers(archive.list_all()) == [3, 2, 1]


def test_a_store_is_recalled_whole_however_many_dreams_it_holds(store: Store) -> None:
    for number in range(SIDECARS_PER_UPDATE + 5):
        store_sidecar(store, number)
    store.put(sidecar_name("f" * 32), b"damaged")
    archive, told = DreamIndex(), list[int]()
    archive.load_from_store(store, lambda ids: [False] * len(ids), lambda: told.append(len(archive.list_all())))
    assert archive.is_complete
    assert len(archive.list_all()) == told[-1] == SIDECARS_PER_UPDATE + 5
    assert told[0] <= SIDECARS_PER_UPDATE


def test_a_recalled_dream_has_the_visibility_of_sidecar_broker_and_tombstone(store: Store) -> None:
    shown, held, hidden, doubted, deleted = (
        store_sidecar(store, number, standing)
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
    job_id = store_sidecar(store, 1)
    archive = DreamIndex()
    archive.put(replace(make_dream(7, Visibility.HIDDEN), job_id=job_id))
    archive.load_from_store(store, lambda ids: [False] * len(ids), lambda: None)
    assert not archive.is_visible(job_id)
