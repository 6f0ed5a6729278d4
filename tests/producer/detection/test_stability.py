"""A file is taken when it is whole, and given up when it is hopeless; neither costs more tries than it needs."""

import io
from concurrent.futures import Future, wait
from pathlib import Path

from PIL import Image

from producer.decoding.convert import Photo
from producer.decoding.limits import Limits
from producer.decoding.pool import DecodeResult, DecoderPool
from producer.detection.stability import StabilityTracker, StableFile, read_file_version
from producer.outbox.ledger import File
from tests.pictures import encode_heic, encode_jpeg, make_picture
from tests.producer.conftest import wait_until


class RecordingDecoders(DecoderPool):
    """Decoders that remember what they were asked."""

    def __init__(self) -> None:
        super().__init__(1, Limits())
        self.requests: list[tuple[str, bool]] = []

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        self.requests.append((path.name, allow_truncated))
        return super().submit(path, allow_truncated=allow_truncated)


class MovingFileDecoders(RecordingDecoders):
    """As above; the first time, the file is somewhere else just while it is being read."""

    def submit(self, path: Path, *, allow_truncated: bool = False) -> "Future[DecodeResult]":
        if self.requests:
            return super().submit(path, allow_truncated=allow_truncated)
        away = path.rename(path.with_name("away"))
        future = super().submit(path, allow_truncated=allow_truncated)
        wait([future], timeout=20)
        away.rename(path)
        return future


def settle_files(decoders: DecoderPool, *paths: Path) -> dict[str, StableFile]:
    settling, found = (
        StabilityTracker(decoders, stable_after_seconds=0.1, give_up_after_seconds=0.2),
        list[StableFile](),
    )
    for path in paths:
        mark = read_file_version(path)
        assert mark is not None
        settling.track(File(path, mark))
    wait_until(lambda: found.extend(settling.poll(4)) or len(found) == len(paths))
    return {one.file.path.name: one for one in found}


def test_a_file_that_is_gone_just_while_it_is_read_is_taken_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode_jpeg(make_picture(1)))
    with MovingFileDecoders() as decoders:
        found = settle_files(decoders, path)
    assert isinstance(found["a.jpg"].photo_or_error, Photo)
    assert decoders.requests == [("a.jpg", False)] * 2


def test_only_a_jpeg_that_ends_too_early_gets_a_second_try(tmp_path: Path) -> None:
    """Whatever crashes or hangs a decoder would do so again."""
    whole = encode_jpeg(make_picture(1))
    picture = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(picture, "PNG")
    files = {
        "most.jpg": whole[: len(whole) * 4 // 5],
        "cut.heic": encode_heic(make_picture(1))[:2000],
        "no.txt": b"Dear guest,",
    }
    files |= {"good.jpg": whole, "bomb.png": picture.getvalue()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with RecordingDecoders() as decoders:
        found = settle_files(decoders, *(tmp_path / name for name in files))
    assert {name for name, one in found.items() if isinstance(one.photo_or_error, Photo)} == {"most.jpg", "good.jpg"}
    assert sorted(decoders.requests) == sorted([(name, False) for name in files] + [("most.jpg", True)])
