"""Clips are files that phones play, and are never larger than the limit."""

import io
from collections.abc import Callable, Iterator

import av
import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from shared.recipe.canvas import Canvas
from tests.worker.clips.videos import Picture, decode_video, make_pictures, mean_difference
from worker.clips.video_encoder import Animation, encode_mp4, encode_webp


class PictureSequence:
    """An animation of given pictures, drawn again on every iteration."""

    def __init__(self, draw: Callable[[int], Picture], count: int, rate: int = 25) -> None:
        height, width, _ = draw(0).shape
        self.size, self.rate = Canvas(width, height), rate
        self._draw, self._count = draw, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Picture]:
        return (self._draw(number) for number in range(self._count))


def make_noise(number: int, size: tuple[int, int] = (480, 640)) -> Picture:
    return np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)


def make_small_noise(number: int) -> Picture:
    return make_noise(number, (48, 64))


def test_a_video_shows_its_pictures_in_their_order_and_colours() -> None:
    pictures = make_pictures(6)
    decoded = decode_video(encode_mp4(PictureSequence(pictures.__getitem__, 6)))
    assert len(decoded) == 6
    assert max(mean_difference(*pair) for pair in zip(pictures, decoded, strict=True)) < 6


def test_a_colour_stays_the_colour_that_it_is() -> None:
    for colour in ((200, 30, 60), (20, 200, 90), (240, 240, 235)):
        still = np.full((48, 64, 3), colour, np.uint8)
        animation = PictureSequence(lambda _, still=still: still, 2)  # type: ignore[misc]
        assert np.abs(decode_video(encode_mp4(animation))[0].astype(int) - colour).max() <= 2
        with Image.open(io.BytesIO(encode_webp(animation))) as image:
            assert np.abs(np.asarray(image.convert("RGB")).mean((0, 1)) - colour).max() <= 2


def test_a_video_is_one_that_an_iphone_plays() -> None:
    data = encode_mp4(PictureSequence(make_small_noise, 10))
    with av.open(io.BytesIO(data), "r") as container:
        [stream] = container.streams.video
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.profile) == ("h264", "yuv420p", "High")
        assert stream.average_rate == 25
        assert (stream.frames, container.duration) == (10, 400_000)
        # BT.709, limited range (16 to 235), in the numbering of ITU-T H.273.
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)


def test_a_video_plays_before_all_of_it_has_arrived() -> None:
    for count in (1, 400):
        data = encode_mp4(PictureSequence(make_small_noise, count))
        assert data.index(b"moov") < data.index(b"mdat")


def test_an_animated_picture_shows_every_moment_and_repeats_for_ever() -> None:
    pictures = make_pictures(6)
    with Image.open(io.BytesIO(encode_webp(PictureSequence(pictures.__getitem__, 6, rate=10)))) as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("WEBP", 6, 0)  # type: ignore[attr-defined]
        for number, picture in enumerate(pictures):
            image.seek(number)
            assert mean_difference(np.asarray(image.convert("RGB")), picture) < 6
            assert image.info["duration"] == 100


@pytest.mark.slow
def test_a_clip_of_the_noisiest_dream_is_below_eight_megabytes() -> None:
    # Without the limit this is 10.4 MB.
    assert 4_000_000 < len(encode_mp4(PictureSequence(make_noise, 60))) <= 8_000_000


@pytest.mark.parametrize("encode", [encode_mp4, encode_webp])
def test_what_is_too_large_is_encoded_again_until_it_is_not(encode: Callable[[Animation, int], bytes]) -> None:
    animation = PictureSequence(make_small_noise, 12)
    unlimited_size = len(encode(animation, 10**6))
    smaller = encode(animation, unlimited_size * 2 // 3)
    assert len(smaller) <= unlimited_size * 2 // 3
    with pytest.raises(ArtDreamError, match=r"12 pictures of 64 × 48 could not be made smaller than 0.0005 MB"):
        encode(animation, 500)
