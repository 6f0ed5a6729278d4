"""Stability: a file is decoded once it is complete, refused once it cannot become so, and never decoded needlessly."""

import io
import math
import os
import time
from concurrent.futures import Future, wait
from pathlib import Path

import pytest
from PIL import Image

from producer.decoding.convert import Photo
from producer.decoding.limits import Limits
from producer.decoding.pool import DecodeResult, DecoderPool
from producer.decoding.video import LIVE_PHOTO_KEY
from producer.detection import stability
from producer.detection.stability import (
    EARLY_DECODE_DELAY_SECONDS,
    StabilityTracker,
    StableFile,
    read_file_version,
)
from producer.ledger import File
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.decoding.test_pool import replace_decoder_program
from tests.producer.decoding.videos import encode_video, make_moving_pictures
from tests.waiting import WAIT_TIMEOUT_SECONDS, wait_until


class RecordingDecoders(DecoderPool):
    """A decoder pool that records its requests."""

    def __init__(self) -> None:
        super().__init__(1, Limits())
        self.requests: list[tuple[str, bool]] = []

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        self.requests.append((path.name, allow_truncated))
        return super().submit(path, allow_truncated=allow_truncated)


class MovingFileDecoders(RecordingDecoders):
    """A recording decoder pool; while the first request is decoded, the file is moved away."""

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        if self.requests:
            return super().submit(path, allow_truncated=allow_truncated)
        moved = path.rename(path.with_name("away"))
        future = super().submit(path, allow_truncated=allow_truncated)
        wait([future], timeout=20)
        moved.rename(path)
        return future


def settle_files(decoders: DecoderPool, *paths: Path) -> dict[str, StableFile]:
    tracker, stable_files = (
        StabilityTracker(decoders, stable_after_seconds=0.1, give_up_after_seconds=0.2),
        list[StableFile](),
    )
    for path in paths:
        version = read_file_version(path)
        assert version is not None
        tracker.track(File(path, version))

    def are_stable() -> bool:
        stable_files.extend(tracker.poll(4))
        return len(stable_files) == len(paths)

    wait_until(are_stable)
    return {stable_file.file.path.name: stable_file for stable_file in stable_files}


def test_a_file_that_is_gone_just_while_it_is_read_is_taken_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(make_picture(1)))
    with MovingFileDecoders() as decoders:
        stable_files = settle_files(decoders, path)
    assert isinstance(stable_files["a.jpg"].photo_or_error, Photo)
    assert decoders.requests == [("a.jpg", False)] * 2


@pytest.mark.parametrize("delay_seconds", [500, 0.2])
def test_files_wait_while_no_decoder_starts_which_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, delay_seconds: float
) -> None:
    """Seen failing: the files were refused, or their decoding was repeated every 20 ms without a word."""
    monkeypatch.setattr(stability, "DECODER_RETRY_DELAY_SECONDS", delay_seconds)
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(make_picture(1)))
    replace_decoder_program("import no_such_module", monkeypatch)
    with RecordingDecoders() as decoders:
        tracker = _track(decoders, path, stable_after_seconds=0)
        wait_until(lambda: tracker.poll(4) or "They wait" in caplog.text)
        if delay_seconds == 500:
            for _ in range(5):
                assert tracker.poll(4) == []
            assert len(decoders.requests) == 1
        else:
            wait_until(lambda: tracker.poll(4) or len(decoders.requests) == 3)
            monkeypatch.undo()
            wait_until(lambda: tracker.poll(4))
    messages = [
        "Photos cannot be decoded, as no decoder process starts: ModuleNotFoundError: No module named "
        "'no_such_module'. They wait where they are until one does.",
        "Photos can be decoded again.",
    ]
    assert [record.message for record in caplog.records] == messages[: 1 if delay_seconds == 500 else 2]


def test_a_producer_that_stops_while_it_decodes_warns_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen failing: a closed pool counted as one whose decoders do not start."""
    path, mark = tmp_path / "a.jpg", tmp_path / "mark"
    path.write_bytes(encode_jpeg(make_picture(1)))
    replace_decoder_program(f"print('ready', flush=True); input(); open({str(mark)!r}, 'w'); input()", monkeypatch)
    with RecordingDecoders() as decoders:
        _track(decoders, path, stable_after_seconds=0).poll(4)
        wait_until(mark.exists)
    assert caplog.records == []


def test_only_a_jpeg_that_ends_too_early_gets_a_second_try(tmp_path: Path) -> None:
    """A file that crashes or hangs a decoder would do so again."""
    jpeg = encode_jpeg(make_picture(1))
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    files = {
        "most.jpg": jpeg[: len(jpeg) * 4 // 5],
        "cut.heic": encode_heic(make_picture(1))[:2000],
        "no.txt": b"Dear guest,",
    }
    files |= {"good.jpg": jpeg, "bomb.png": bomb.getvalue()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with RecordingDecoders() as decoders:
        stable_files = settle_files(decoders, *(tmp_path / name for name in files))
    assert {name for name, stable_file in stable_files.items() if isinstance(stable_file.photo_or_error, Photo)} == {
        "most.jpg",
        "good.jpg",
    }
    assert sorted(decoders.requests) == sorted([(name, False) for name in files] + [("most.jpg", True)])


def test_the_video_of_a_live_photo_waits_for_its_picture_and_no_other_video_does(tmp_path: Path) -> None:
    """Seen failing without the wait: one Live Photo became two jobs if its video arrived first."""
    pictures = make_moving_pictures(3)
    live_photo, video = tmp_path / "live.mov", tmp_path / "video.mov"
    live_photo.write_bytes(encode_video(pictures, container="mov", metadata={LIVE_PHOTO_KEY: "5C1F4C6B"}))
    video.write_bytes(encode_video(pictures, container="mov"))
    with RecordingDecoders() as decoders:  # which decode one after the other
        tracker = StabilityTracker(decoders, stable_after_seconds=0.1, give_up_after_seconds=WAIT_TIMEOUT_SECONDS)
        for path in (live_photo, video):
            version = read_file_version(path)
            assert version is not None
            tracker.track(File(path, version))
        stable_files = list[StableFile]()

        def is_video_stable() -> bool:
            stable_files.extend(tracker.poll(4))
            return video not in tracker

        wait_until(is_video_stable)
        assert [stable_file.file.path for stable_file in stable_files] == [video]
        assert live_photo in tracker


def test_videos_that_wait_for_their_pictures_take_no_place_of_other_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing: such videos counted as photos in memory, and if they were enough, not even pictures were decoded.

    A video whose picture does not come is decoded again when it is taken, and not before.
    """
    monkeypatch.setattr(stability, "EARLY_DECODE_DELAY_SECONDS", 0)
    video = encode_video(make_moving_pictures(3), container="mov", metadata={LIVE_PHOTO_KEY: "5C1F4C6B"})
    paths = [tmp_path / name for name in ("0.mov", "1.mov", "0.jpg")]
    for path, data in zip(paths, [video, video, encode_jpeg(make_picture(1))], strict=True):
        path.write_bytes(data)
    stable_files = list[str]()
    with RecordingDecoders() as decoders:
        tracker = StabilityTracker(decoders, stable_after_seconds=0.1, give_up_after_seconds=WAIT_TIMEOUT_SECONDS)

        def poll() -> list[str]:
            stable_files.extend(stable_file.file.path.name for stable_file in tracker.poll(2))
            return stable_files

        for path in paths:
            version = read_file_version(path)
            assert version is not None
            tracker.track(File(path, version))
            tracker.poll(2)
        assert decoders.requests == [("0.mov", False), ("1.mov", False)]
        wait_until(poll)
        assert stable_files == ["0.jpg"]
        assert decoders.requests[2:] == [("0.jpg", False)]
        tracker._give_up_after_seconds = 0.1
        wait_until(lambda: len(poll()) == 3)
    assert stable_files[1:] == ["0.mov", "1.mov"]
    assert decoders.requests[3:] == [("0.mov", False), ("1.mov", False)]


def test_a_file_that_grows_slowly_is_decoded_less_and_less_often(tmp_path: Path) -> None:
    """Seen failing with the same delay each time: twelve pauses, twelve decodings of a part."""
    path, photo = tmp_path / "slow.jpg", encode_jpeg(make_picture(1))
    part_bytes = len(photo) // 12 + 1
    path.touch()
    with RecordingDecoders() as decoders:
        tracker = StabilityTracker(decoders, stable_after_seconds=5.0, give_up_after_seconds=10.0)
        version = read_file_version(path)
        assert version is not None
        tracker.track(File(path, version))
        longest_pause = 0.0
        for offset in range(0, len(photo), part_bytes):
            with path.open("ab") as file:
                file.write(photo[offset : offset + part_bytes])
            deadline = time.monotonic() + 0.15
            pause = wait_until(lambda deadline=deadline: tracker.poll(4) or time.monotonic() > deadline)  # type: ignore[misc]
            longest_pause = max(pause, longest_pause)
        # The delay doubles with each decoding, until no pause is as long: on a busy machine, some are.
        assert 1 <= len(decoders.requests) <= 2 + math.log2(longest_pause / EARLY_DECODE_DELAY_SECONDS)


@pytest.mark.parametrize("seconds_since_write", [0, 1000])
def test_a_photo_that_was_complete_before_it_came_is_decoded_at_once(
    seconds_since_write: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing with a wait from when the file was first seen: AirDrop moves complete files into the folder."""
    monkeypatch.setattr(stability, "EARLY_DECODE_DELAY_SECONDS", 500)
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(make_picture(1)))
    _set_age(path, seconds_since_write)
    with RecordingDecoders() as decoders:
        _track(decoders, path).poll(4)
        assert decoders.requests == ([("a.jpg", False)] if seconds_since_write else [])


def test_a_file_that_grows_on_a_disk_whose_clock_is_behind_is_decoded_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen failing without a least delay: each change was decoded at once."""
    monkeypatch.setattr(stability, "EARLY_DECODE_DELAY_SECONDS", 500)
    path, photo = tmp_path / "slow.jpg", encode_jpeg(make_picture(1))
    path.write_bytes(photo[:1000])
    _set_age(path, 1000)
    with RecordingDecoders() as decoders:
        tracker = _track(decoders, path)
        for size in (2000, 3000, 4000):
            tracker.poll(4)
            path.write_bytes(photo[:size])
            _set_age(path, 1000)
            tracker.poll(4)
        assert len(decoders.requests) == 1


def test_a_photo_is_taken_as_soon_as_it_is_decoded(tmp_path: Path) -> None:
    """Seen failing with a wait for the next look at the files."""
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(make_picture(1)))
    _set_age(path, 1000)
    with RecordingDecoders() as decoders:
        tracker = _track(decoders, path, stable_after_seconds=0)
        assert tracker.poll(4) == []
        assert tracker.wait_for_decoder(20)
        assert [stable_file.file.path for stable_file in tracker.poll(4)] == [path]


def _track(decoders: DecoderPool, path: Path, stable_after_seconds: float = 1000) -> StabilityTracker:
    """Return a tracker of one file."""
    tracker = StabilityTracker(decoders, stable_after_seconds=stable_after_seconds, give_up_after_seconds=1000)
    version = read_file_version(path)
    assert version is not None
    tracker.track(File(path, version))
    return tracker


def _set_age(path: Path, seconds: float) -> None:
    """Let a file have been written some seconds ago."""
    os.utime(path, (time.time() - seconds,) * 2)
