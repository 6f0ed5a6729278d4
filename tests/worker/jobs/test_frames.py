"""Frames: stored and announced while the dream is computed, and never in its way."""

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from shared.jpeg_marker import JPEG_MARKER
from shared.storage.object_names import frame_name
from shared.storage.store import Store, StoreError
from tests.waiting import wait_until
from worker.dreamer import Frame
from worker.jobs.frames import (
    DREAM_QUALITY,
    FRAME_QUALITY,
    THUMBNAIL_SIDE,
    FramePublisher,
    encode_jpeg,
    encode_thumbnail,
)

JOB_ID = "ab" * 16


def make_pixels(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def make_frame(index: int, fraction: float = 0.5) -> Frame:
    return Frame(index, fraction, make_pixels(64, 48))


def open_jpeg(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["JPEG"])


def count_chroma_samples(data: bytes) -> tuple[int, int]:
    """Return the horizontal and vertical sampling factors of the first component; 1, 1 is 4:4:4."""
    _, horizontal, vertical, _ = open_jpeg(data).layer[0]  # type: ignore[attr-defined]
    return horizontal, vertical


def read_quality(data: bytes) -> int:
    """Return the quality with which Pillow wrote a JPEG: the one whose quantization tables are the same."""

    def read_tables(data: bytes) -> object:
        return open_jpeg(data).quantization  # type: ignore[attr-defined]

    return next(
        quality for quality in range(1, 96) if read_tables(encode_jpeg(make_pixels(8, 8), quality)) == read_tables(data)
    )


def test_a_dream_keeps_its_fine_colour_and_a_frame_is_smaller() -> None:
    dream, frame = encode_jpeg(make_pixels(64, 48)), encode_jpeg(make_pixels(64, 48), FRAME_QUALITY)
    assert (count_chroma_samples(dream), count_chroma_samples(frame)) == ((1, 1), (2, 2))
    assert len(frame) < len(dream)
    assert read_quality(dream) == DREAM_QUALITY
    assert read_quality(frame) == read_quality(encode_thumbnail(make_pixels(64, 48))) == FRAME_QUALITY
    for data in (dream, frame):
        with open_jpeg(data) as image:
            assert (image.size, image.info["comment"]) == ((64, 48), JPEG_MARKER)


def test_a_thumbnail_has_the_dream_s_shape_and_fits_into_a_cell_of_the_gallery() -> None:
    with open_jpeg(encode_thumbnail(make_pixels(1200, 600))) as image:
        assert image.size == (THUMBNAIL_SIDE, THUMBNAIL_SIDE // 2)
    with open_jpeg(encode_thumbnail(make_pixels(600, 1200))) as image:
        assert image.size == (THUMBNAIL_SIDE // 2, THUMBNAIL_SIDE)


class SlowStore(Store):
    """Writes each object when it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.begun: list[str] = []
        self.may_write = threading.Semaphore(0)
        self.is_away = False

    def put(self, name: str, data: bytes) -> None:
        self.begun.append(name)
        self.may_write.acquire()
        if self.is_away:
            raise StoreError("away")
        super().put(name, data)


@pytest.fixture
def slow_store() -> Iterator[SlowStore]:
    store = SlowStore("memory://")
    yield store
    store.may_write.release(100)
    wait_until(lambda: not any(thread.name == "frames" for thread in threading.enumerate()), "the thread has ended")


def test_a_slow_store_gets_the_latest_frame_and_not_each(slow_store: SlowStore) -> None:
    announced: list[tuple[str, float]] = []
    with FramePublisher(slow_store, lambda *arguments: announced.append(arguments), JOB_ID) as publisher:
        publisher.offer(make_frame(0, 0.1))
        wait_until(lambda: slow_store.begun, "the first is being written")
        for index in range(1, 5):
            publisher.offer(make_frame(index, index / 10))
        assert announced == []
        slow_store.may_write.release(2)
        wait_until(lambda: len(announced) == 2, "announced")
    assert announced == [(frame_name(JOB_ID, 0), 0.1), (frame_name(JOB_ID, 4), 0.4)]
    assert open_jpeg(slow_store.get(frame_name(JOB_ID, 4)) or b"").size == (64, 48)


def test_a_frame_that_still_waits_when_the_dream_is_finished_is_dropped(slow_store: SlowStore) -> None:
    with FramePublisher(slow_store, lambda *_: None, JOB_ID) as publisher:
        publisher.offer(make_frame(0))
        wait_until(lambda: slow_store.begun, "the first is being written")
        publisher.offer(make_frame(1))
    slow_store.may_write.release(2)
    wait_until(lambda: not any(thread.name == "frames" for thread in threading.enumerate()), "the thread has ended")
    assert slow_store.begun == [frame_name(JOB_ID, 0)]


def test_a_frame_that_cannot_be_stored_is_skipped(slow_store: SlowStore) -> None:
    announced: list[str] = []
    slow_store.is_away = True
    with FramePublisher(slow_store, lambda name, _: announced.append(name), JOB_ID) as publisher:
        publisher.offer(make_frame(0))
        wait_until(lambda: slow_store.begun, "the first is being written")
        publisher.offer(make_frame(1))
        slow_store.may_write.release()
        wait_until(lambda: slow_store.begun[-1] == frame_name(JOB_ID, 1), "the next is being written")
        slow_store.is_away = False
        slow_store.may_write.release()
        wait_until(lambda: announced == [frame_name(JOB_ID, 1)], "announced")
