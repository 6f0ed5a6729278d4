"""The index of all dreams, and the visibility of each."""

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
    return [int(dream.job_id, 16) for dream in dreams]


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
    dream_index = DreamIndex()
    dream_index.put(make_dream(1, Visibility.HELD))
    assert dream_index.list_newest(9) == dream_index.list_page(before=None) == []
    assert dream_index.list_filters()["count"] == 0
    assert not dream_index.is_visible(make_dream(1).job_id)
    assert not dream_index.is_photo_visible(PHOTO_NAME)
    dream_index.put(make_dream(1))
    assert list_numbers(dream_index.list_newest(9)) == [1]
    assert dream_index.is_visible(make_dream(1).job_id)
    assert dream_index.is_photo_visible(PHOTO_NAME)


def test_a_photo_is_seen_as_long_as_one_of_its_dreams() -> None:
    dream_index = DreamIndex()
    dream_index.add(make_dream(1))
    dream_index.add(make_dream(2))
    dream_index.hide(make_dream(1).job_id)
    assert dream_index.is_photo_visible(PHOTO_NAME)
    dream_index.delete(make_dream(2).job_id)
    assert not dream_index.is_photo_visible(PHOTO_NAME)


def test_a_dream_that_is_hidden_while_the_store_is_read_is_not_seen() -> None:
    """Seen failing: a dream that was not known yet could not be hidden."""
    dream_index = DreamIndex()
    dream_index.hide(make_dream(1).job_id)
    dream_index.add(make_dream(1))
    assert not dream_index.is_visible(make_dream(1).job_id)
    dream_index.put(make_dream(1))  # the operator shows it
    assert dream_index.is_visible(make_dream(1).job_id)


def test_a_deleted_dream_never_comes_back() -> None:
    dream_index = DreamIndex()
    dream_index.add(make_dream(1))
    dream_index.delete(make_dream(1).job_id)
    dream_index.add(make_dream(1))
    dream_index.put(make_dream(1))
    assert dream_index.find(make_dream(1).job_id) is None
    assert dream_index.list_all() == []


def test_dreams_from_before_the_event_leave_the_gallery_but_keep_their_links() -> None:
    dream_index = DreamIndex()
    for number in (1, 2, 3):
        dream_index.add(make_dream(number))
    dream_index.opened_at = 2.5
    assert list_numbers(dream_index.list_newest(9)) == list_numbers(dream_index.list_page(before=None)) == [3]
    assert dream_index.is_visible(make_dream(1).job_id)
    assert list_numbers(dream_index.list_all()) == [3, 2, 1]


def test_the_filters_of_the_gallery_follow_every_change() -> None:
    dream_index = DreamIndex()
    lines = replace(make_dream(200_000), recipe="lines", title="Lines")
    for dream in (make_dream(1), make_dream(2, Visibility.HELD), lines):
        dream_index.add(dream)
    days = [dream.day for dream in (lines, make_dream(1))]
    assert dream_index.list_filters() == {
        "count": 2,
        "recipes": [("animals", "Animals"), ("lines", "Lines")],
        "days": days,
    }
    dream_index.put(replace(make_dream(2), title="Beasts"))  # the newest title counts
    assert dream_index.list_filters()["recipes"] == [("animals", "Beasts"), ("lines", "Lines")]
    dream_index.hide(lines.job_id)
    dream_index.delete(make_dream(1).job_id)
    assert dream_index.list_filters() == {"count": 1, "recipes": [("animals", "Beasts")], "days": days[1:]}
    dream_index.opened_at = 2.5
    assert dream_index.list_filters() == {"count": 0, "recipes": [], "days": []}
    dream_index.add(lines)
    assert dream_index.visible_count == 0  # it is hidden, as before
    dream_index.put(lines)
    assert dream_index.visible_count == 1


def test_a_store_is_recalled_whole_however_many_dreams_it_holds(store: Store) -> None:
    """And viewers are told when the newest dreams are there and when all are, not after each of many parts."""
    for number in range(2 * SIDECARS_PER_UPDATE + 5):
        store_sidecar(store, number)
    store.put(sidecar_name("f" * 32), b"damaged")
    dream_index, counts = DreamIndex(), list[int]()
    dream_index.load_from_store(
        store, lambda ids: [False] * len(ids), lambda: counts.append(len(dream_index.list_all()))
    )
    assert dream_index.is_complete
    assert len(dream_index.list_all()) == counts[-1] == 2 * SIDECARS_PER_UPDATE + 5
    assert counts[0] <= SIDECARS_PER_UPDATE
    assert len(counts) == 2
    dream_index.load_from_store(store, lambda ids: [True] * len(ids), lambda: counts.append(dream_index.visible_count))
    assert counts[2:] == [0]  # nothing is new, but dreams were hidden


def test_a_recalled_dream_has_the_visibility_of_sidecar_broker_and_tombstone(store: Store) -> None:
    visible, held, hidden, held_by_broker, deleted = (
        store_sidecar(store, number, visibility)
        for number, visibility in enumerate(
            (Visibility.SHOWN, Visibility.HELD, Visibility.HIDDEN, Visibility.SHOWN, Visibility.SHOWN)
        )
    )
    write_tombstone(store, deleted)
    dream_index = DreamIndex()
    dream_index.load_from_store(store, lambda ids: [job_id == held_by_broker for job_id in ids], lambda: None)
    assert [dream_index.is_visible(job_id) for job_id in (visible, held, hidden, held_by_broker)] == [
        True,
        False,
        False,
        False,
    ]
    assert dream_index.find(deleted) is None
    # A dream that the operator hid does not count as waiting for approval.
    assert [dream_index.list_all()[3 - n].visibility for n in (1, 2, 3)] == [
        Visibility.HELD,
        Visibility.HIDDEN,
        Visibility.HELD,
    ]


def test_news_are_not_overwritten_by_what_the_store_remembers(store: Store) -> None:
    job_id = store_sidecar(store, 1)
    dream_index = DreamIndex()
    dream_index.put(replace(make_dream(7, Visibility.HIDDEN), job_id=job_id))
    dream_index.load_from_store(store, lambda ids: [False] * len(ids), lambda: None)
    assert not dream_index.is_visible(job_id)
