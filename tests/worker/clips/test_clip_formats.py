"""Formats of a clip: a GIF that loops and fits into a message, and a square that shows the whole picture."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from shared.jobs.clip_requests import ClipFormat
from tests.worker.clips.videos import Picture, Pictures, decode_video, make_pictures, mean_difference
from worker.clips import clip_formats
from worker.clips.clip_formats import StoredClip, encode_clip_format
from worker.clips.video_encoder import encode_mp4

#: Pictures of the clip: from the photo to the dream and back.
PICTURES = [*make_pictures(16, (160, 120)), *make_pictures(16, (160, 120))[-2:0:-1]]


@pytest.fixture(scope="module")
def clip() -> bytes:
    return encode_mp4(Pictures(PICTURES, rate=20))


def decode_gif(data: bytes) -> list[Picture]:
    with Image.open(io.BytesIO(data), formats=["GIF"]) as image:
        return [np.asarray(frame.convert("RGB")) for frame in iterate(image)]


def iterate(image: Image.Image) -> Iterator[Image.Image]:
    for number in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(number)
        yield image


def without_dither(picture: Picture) -> Picture:
    """Return a picture so small that the points of the dithering are averaged."""
    return np.asarray(Image.fromarray(picture).resize((20, 15), Image.Resampling.BOX))


def test_a_gif_loops_forever_without_a_jump_and_lasts_as_long_as_the_clip(clip: bytes) -> None:
    data = encode_clip_format(ClipFormat.GIF, clip)
    with Image.open(io.BytesIO(data), formats=["GIF"]) as image:
        assert image.info["loop"] == 0
        durations = [frame.info["duration"] for frame in iterate(image)]
    frames = [without_dither(frame) for frame in decode_gif(data)]
    assert sum(durations) == pytest.approx(1000 * len(PICTURES) / 20, abs=1)
    jumps = [mean_difference(one, other) for one, other in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert jumps[-1] <= 1.2 * max(jumps[:-1])
    for number, picture in enumerate(PICTURES[::2]):
        assert mean_difference(frames[number], without_dither(picture)) < 12


def test_a_gif_of_much_detail_is_made_smaller_until_it_fits(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_formats, "_GIF_SIZES", ((160, 10), (80, 10), (40, 10)))
    sizes = []
    for limit in (10**6, len(encode_clip_format(ClipFormat.GIF, clip)) // 2):
        monkeypatch.setattr(clip_formats, "MAX_GIF_BYTES", limit)
        data = encode_clip_format(ClipFormat.GIF, clip)
        assert len(data) <= limit
        sizes.append(decode_gif(data)[0].shape[1])
    assert sizes == [160, 80]


def test_a_gif_that_cannot_be_small_enough_is_not_made(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_formats, "MAX_GIF_BYTES", 1000)
    monkeypatch.setattr(clip_formats, "_GIF_SIZES", ((160, 2),))
    with pytest.raises(ArtDreamError, match="could not be made smaller"):
        encode_clip_format(ClipFormat.GIF, clip)


def test_a_square_shows_the_whole_picture_in_its_middle(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_formats, "SQUARE_SIDE", 160)
    frames = decode_video(encode_clip_format(ClipFormat.SQUARE, clip))
    assert len(frames) == len(PICTURES)
    for frame, picture in zip(frames, PICTURES, strict=True):
        assert mean_difference(frame[20:140], picture) < 8
    assert 5 < frames[0][:16].mean() < 0.6 * PICTURES[0].mean()


def test_a_stored_clip_is_the_same_in_each_iteration(clip: bytes) -> None:
    stored = StoredClip(clip, rate=5, long_side=100)
    assert stored.size == (100, 74)
    assert stored.rate == 5
    first, second = list(stored), list(stored)
    assert len(first) == len(stored) == len(PICTURES) // 4
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("clip_format", ClipFormat)
def test_a_damaged_clip_is_named(clip: bytes, clip_format: ClipFormat) -> None:
    for damaged in (b"no clip", clip[: len(clip) // 2]):
        with pytest.raises(ArtDreamError, match="damaged"):
            encode_clip_format(clip_format, damaged)
