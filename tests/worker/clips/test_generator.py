"""Clips are made when there is time for them, from what the store holds, and nothing ever waits for them."""

import io
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.recipe.recipe import load_recipe
from shared.storage.object_names import (
    clip_name,
    dream_name,
    frame_name,
    photo_name,
    preview_name,
    sidecar_name,
    zoom_name,
)
from shared.storage.sidecar import Sidecar
from shared.storage.store import Store
from tests import pictures
from tests.worker.clips.videos import Picture, decode_video, make_pictures, mean_difference
from worker.clips import generator as clipmaker
from worker.clips.animations import Morph
from worker.clips.generator import ClipGenerator
from worker.clips.video_encoder import encode_mp4

CLIP_NAMES = (clip_name, preview_name, zoom_name)
DREAM_PICTURES = make_pictures(5, (96, 64))
DEFAULT_NICE = clipmaker.NICENESS


@pytest.fixture(autouse=True)
def _normal_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a low priority would make these tests wait, and hide what is not held back otherwise."""
    monkeypatch.setattr(clipmaker, "NICENESS", 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((tmp_path / "store").as_uri())


@pytest.fixture
def generator(store: Store) -> Iterator[ClipGenerator]:
    maker = ClipGenerator(store)
    yield maker
    assert maker.close(timeout=0)


def encode_pixels(pixels: Picture) -> bytes:
    return pictures.encode_jpeg(Image.fromarray(pixels))


def store_dream(store: Store, job_id: str, frames: tuple[int, ...] = (0, 1, 2)) -> str:
    """Put into the store what a worker leaves there."""
    store.put(photo_name(job_id), encode_pixels(DREAM_PICTURES[0]))
    for index in frames:
        store.put(frame_name(job_id, index), encode_pixels(DREAM_PICTURES[1 + index % 3]))
    store.put(dream_name(job_id), encode_pixels(DREAM_PICTURES[-1]))
    sidecar = Sidecar(
        job_id=job_id,
        photo_id=job_id,
        photo=photo_name(job_id),
        dream=dream_name(job_id),
        recipe=load_recipe("animals"),
        seed=0,
        network="lite",
        weights="0" * 64,
        precision="float32",
        size=(96, 64),
        stages={},
        completed_at=0,
    )
    store.put(sidecar_name(job_id), sidecar.model_dump_json().encode())
    return job_id


def has_clips(store: Store, job_id: str) -> bool:
    return all(store.get(named(job_id)) for named in CLIP_NAMES)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_completed_job_gets_three_clips(store: Store, generator: ClipGenerator) -> None:
    generator.enqueue(store_dream(store, "a"))
    wait_until(lambda: has_clips(store, "a"))
    clip = decode_video(store.get(clip_name("a")) or b"")
    assert mean_difference(clip[0], DREAM_PICTURES[0]) < 6
    assert min(mean_difference(shown, DREAM_PICTURES[-1]) for shown in clip) < 6
    assert len(decode_video(store.get(zoom_name("a")) or b"")) > 100
    with Image.open(io.BytesIO(store.get(preview_name("a")) or b"")) as image:
        assert image.n_frames > 10


@pytest.mark.parametrize("frames", [(), (2,), (0, 7, 103)])
def test_a_dream_whose_frames_are_missing_still_has_a_clip(
    store: Store, generator: ClipGenerator, frames: tuple[int, ...]
) -> None:
    generator.enqueue(store_dream(store, "a", frames))
    wait_until(lambda: has_clips(store, "a"))
    clip = decode_video(store.get(clip_name("a")) or b"")
    assert mean_difference(clip[0], DREAM_PICTURES[0]) < 6
    assert min(mean_difference(shown, DREAM_PICTURES[-1]) for shown in clip) < 6


def test_many_frames_are_gone_through_in_their_order_and_not_all_of_them(
    store: Store, generator: ClipGenerator
) -> None:
    store_dream(store, "a", ())
    for index in range(98, 120):
        store.put(frame_name("a", index), encode_pixels(np.full((64, 96, 3), 2 * index, np.uint8)))
    taken = generator._load_pictures("a", lambda: None)
    greys = [int(picture[10, 10, 0]) for picture in taken[1:-1]]
    assert len(taken) == clipmaker.MAX_PICTURES
    assert greys == sorted(greys)
    assert mean_difference(taken[0], DREAM_PICTURES[0]) < 6
    assert mean_difference(taken[-1], DREAM_PICTURES[-1]) < 6


class RecordingStore(Store):
    """A store that tells what is asked of it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.requested_names: list[str] = []

    def get(self, name: str) -> bytes | None:
        self.requested_names.append(name)
        return super().get(name)

    def put(self, name: str, data: bytes) -> None:
        self.requested_names.append(name)
        super().put(name, data)


def run_long_dream() -> None:
    """Take longer than the clips would."""
    for _ in range(3):
        encode_mp4(Morph(DREAM_PICTURES))


def test_a_live_dream_has_the_processor_for_itself(store: Store) -> None:
    watched = RecordingStore(store.url)
    maker = ClipGenerator(watched)
    store_dream(store, "a")
    with maker.pause():
        maker.enqueue("a")
        run_long_dream()
        assert watched.requested_names == []
    wait_until(lambda: dream_name("a") in watched.requested_names)
    with maker.pause():  # a dream that begins while a clip is being made
        run_long_dream()
        assert clip_name("a") not in watched.requested_names
    wait_until(lambda: has_clips(store, "a"))
    assert maker.close()


def test_clips_are_made_in_the_end_even_while_dream_follows_dream(store: Store) -> None:
    maker = ClipGenerator(store, max_pause_seconds=0.01)
    with maker.pause():
        maker.enqueue(store_dream(store, "a"))
        wait_until(lambda: has_clips(store, "a"))
    assert maker.close()


def test_a_store_that_is_away_stops_no_worker(
    store: Store, generator: ClipGenerator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store_dream(store, "a")
    shutil.move(tmp_path / "store", tmp_path / "elsewhere")
    (tmp_path / "store").touch()
    with caplog.at_level(logging.WARNING):
        generator.enqueue("a")
        wait_until(lambda: bool(caplog.records))
    [said] = caplog.records
    assert said.getMessage().startswith("job a has no clips: dreams/a/dream.json could not be read from the store")
    assert said.exc_info is None
    (tmp_path / "store").unlink()
    shutil.move(tmp_path / "elsewhere", tmp_path / "store")
    generator.enqueue("a")
    wait_until(lambda: has_clips(store, "a"))


@pytest.mark.parametrize("named", [sidecar_name, dream_name, lambda job_id: frame_name(job_id, 1)])
def test_a_damaged_object_costs_its_own_clips_and_no_others(
    store: Store, generator: ClipGenerator, caplog: pytest.LogCaptureFixture, named: Callable[[str], str]
) -> None:
    store_dream(store, "a")
    whole = store.get(named("a")) or b""
    store.put(named("a"), whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING):
        generator.enqueue("a")
        generator.enqueue("nobody")
        generator.enqueue(store_dream(store, "b"))
        wait_until(lambda: has_clips(store, "b"))
    damaged, gone = caplog.records
    assert damaged.getMessage().startswith("job a has no clips: ")
    assert damaged.getMessage().endswith(f"{named('a')} in the store is damaged.")
    assert gone.getMessage() == "job nobody has no clips: dreams/nobody/dream.json is not in the store."
    assert damaged.exc_info is None


def test_a_fault_nobody_thought_of_is_logged_and_the_next_clip_is_made(
    store: Store, generator: ClipGenerator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), monkeypatch.context() as broken:
        broken.setattr(clipmaker, "Morph", lambda *_: 1 / 0)
        generator.enqueue(store_dream(store, "a"))
        wait_until(lambda: bool(caplog.records))
    generator.enqueue("a")
    wait_until(lambda: has_clips(store, "a"))


def test_a_process_that_ends_waits_for_no_clip(store: Store) -> None:
    maker = ClipGenerator(store)
    with maker.pause():  # so that the first clip is met in the middle
        for job_id in ("a", "b"):
            maker.enqueue(store_dream(store, job_id))
        assert maker.close(timeout=0)
    assert not any(store.get(named(job_id)) for named in CLIP_NAMES for job_id in ("a", "b"))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no priority of their own")
def test_clips_are_made_at_a_low_priority_and_dreams_are_not(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipmaker, "NICENESS", DEFAULT_NICE)
    maker = ClipGenerator(store)
    [thread] = [thread for thread in threading.enumerate() if thread.name == "clips"]
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) == DEFAULT_NICE)
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < DEFAULT_NICE
    assert maker.close()
