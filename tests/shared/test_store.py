"""What is put is got, whole; a store that cannot be used says so in one sentence."""

import asyncio
from pathlib import Path

import pytest

from shared.errors import ArtDreamError
from shared.names import (
    clip_name,
    dream_name,
    frame_name,
    frames_folder,
    photo_name,
    preview_name,
    sidecar_name,
    zoom_name,
)
from shared.settings import Settings
from shared.store import Store, StoreError


def test_what_is_put_is_got(store: Store) -> None:
    store.put(photo_name("ab"), b"pixels")
    assert store.get(photo_name("ab")) == b"pixels"
    assert asyncio.run(store.get_async(photo_name("ab"))) == b"pixels"


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.get(dream_name("job")) is None
    assert asyncio.run(store.get_async(dream_name("job"))) is None
    store.delete(dream_name("job"))


def test_what_is_removed_leaves_nothing(store: Store, settings: Settings) -> None:
    store.put(photo_name("ab"), b"pixels")
    store.delete(photo_name("ab"))
    assert store.get(photo_name("ab")) is None
    assert not (settings.data / "store" / "photos").exists()


def test_a_listing_names_what_was_put_under_a_folder(store: Store) -> None:
    for name in (dream_name("a"), sidecar_name("a"), frame_name("a", 3), photo_name("b")):
        store.put(name, b"x")
    assert {entry.name for entry in store.entries("dreams/")} == {
        "dreams/a/dream.jpg",
        "dreams/a/dream.json",
        "dreams/a/frames/03.jpg",
    }
    assert list(store.entries("nothing/")) == []


def test_the_frames_of_a_dream_are_found_in_their_folder_and_nothing_else_is(store: Store) -> None:
    for name in (frame_name("a", 0), frame_name("a", 12), dream_name("a"), frame_name("b", 0)):
        store.put(name, b"x")
    assert {entry.name for entry in store.entries(frames_folder("a"))} == {frame_name("a", 0), frame_name("a", 12)}


def test_clips_can_be_kept(store: Store) -> None:
    for named in (clip_name, preview_name, zoom_name):
        store.put(named("a"), b"moving")
        assert store.get(named("a")) == b"moving"


def test_an_object_is_copied_into_a_file_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    store.put(photo_name("ab"), b"pixels")
    assert store.fetch(photo_name("ab"), tmp_path / "ab.jpg")
    assert (tmp_path / "ab.jpg").read_bytes() == b"pixels"
    assert not store.fetch(photo_name("cd"), tmp_path / "cd.jpg")
    with pytest.raises(ArtDreamError, match=r"missing/ab.jpg could not be written: No such file"):
        store.fetch(photo_name("ab"), tmp_path / "missing" / "ab.jpg")


def test_a_folder_has_no_links(store: Store) -> None:
    store.put(photo_name("ab"), b"pixels")
    assert store.link(photo_name("ab"), 60) is None


def test_a_store_outlives_its_process(tmp_path: Path) -> None:
    url = (tmp_path / "ein Ordner").as_uri()
    Store(url).put(photo_name("ab"), b"pixels")
    assert Store(url).get(photo_name("ab")) == b"pixels"


def test_a_store_that_cannot_be_written_says_which_and_why(tmp_path: Path) -> None:
    store = Store((tmp_path / "store").as_uri())
    (tmp_path / "store" / "photos").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"photos/ab.jpg could not be written to the store file://"):
        store.put(photo_name("ab"), b"pixels")


def test_an_unknown_kind_of_store_is_refused() -> None:
    with pytest.raises(ArtDreamError, match="ftp://host/place is not one that can be opened"):
        Store("ftp://host/place")
