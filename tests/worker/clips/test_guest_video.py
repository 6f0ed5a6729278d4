"""A guest's video is read from the store, and its photo is found among its pictures."""

import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from tests.producer.decoding import videos
from tests.worker.clips.videos import encode_video, make_pan, mean_difference
from worker.clips import guest_video
from worker.clips.guest_video import load_video


def test_the_photo_takes_the_place_of_the_picture_that_it_was_taken_from() -> None:
    pictures = make_pan(9)
    photo = Image.fromarray(pictures[6]).resize((288, 192), Image.Resampling.LANCZOS)
    video = load_video(encode_video(pictures), photo, 96)
    assert len(video.pictures) == 9
    assert video.key_number == 6
    assert mean_difference(video.pictures[6], pictures[6]) < 3
    assert mean_difference(video.pictures[2], pictures[2]) < 8


def test_a_video_is_read_at_the_size_of_its_dream() -> None:
    pictures = make_pan(3, (192, 128))
    video = load_video(encode_video(pictures), Image.fromarray(pictures[1]), 96)
    assert {video.pictures[number].shape for number in range(3)} == {(64, 96, 3)}


def test_a_long_video_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_video, "MAX_PICTURES", 4)
    pictures = make_pan(9)
    assert len(load_video(encode_video(pictures), Image.fromarray(pictures[1]), 96).pictures) == 4


@pytest.mark.parametrize("damaged", [b"", b"\0" * 5000, encode_video(make_pan(9))[:200]])
def test_a_damaged_video_is_named_as_such(damaged: bytes) -> None:
    with pytest.raises(ArtDreamError, match="The guest's video in the store"):
        load_video(damaged, Image.fromarray(make_pan(1)[0]), 96)


def test_a_video_that_no_producer_makes_is_not_decoded() -> None:
    video = videos.encode_video([Image.fromarray(picture) for picture in make_pan(3)], codec="libx265")
    with pytest.raises(ArtDreamError, match="none that a producer makes"):
        load_video(video, Image.fromarray(make_pan(1)[0]), 96)


def test_a_photo_in_other_colours_is_no_reason_to_fail() -> None:
    grey = Image.fromarray(np.full((64, 96), 90, np.uint8))
    assert load_video(encode_video(make_pan(3)), grey, 96).pictures[0].shape == (64, 96, 3)
