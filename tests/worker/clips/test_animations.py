"""A morph goes from the photo through the frames to the dream; a zoom enters the dream; both loop without a jump."""

from itertools import pairwise

import numpy as np
import pytest

from tests.worker.clips.videos import Picture, make_pictures, mean_difference, resize_like
from worker.clips.animations import Morph, Zoom, fit_video_size


def crop_center(picture: Picture, share: float) -> Picture:
    """Return the centre of a picture; `share` is the part of each side to keep, 0 to 1."""
    height, width, _ = picture.shape
    rows, columns = round(height * share / 2), round(width * share / 2)
    return picture[height // 2 - rows : height // 2 + rows, width // 2 - columns : width // 2 + columns]


def test_a_clip_begins_with_the_photo_and_reaches_the_dream() -> None:
    pictures = make_pictures()
    clip = list(Morph(pictures))
    np.testing.assert_array_equal(clip[0], pictures[0])
    assert any(np.array_equal(frame, pictures[-1]) for frame in clip)
    assert len(clip) / Morph(pictures).rate == pytest.approx(6)


def test_a_clip_goes_through_the_frames() -> None:
    photo, dream = make_pictures(2)
    frame = 255 - photo
    assert min(mean_difference(clip_frame, frame) for clip_frame in Morph([photo, frame, dream])) < 4
    assert min(mean_difference(clip_frame, frame) for clip_frame in Morph([photo, dream])) > 20


def test_photo_and_dream_are_held_for_a_moment() -> None:
    pictures = make_pictures()
    clip = list(Morph(pictures))
    for still in (pictures[0], pictures[-1]):
        assert sum(mean_difference(frame, still) < 1 for frame in clip) > 12


def test_a_clip_moves_evenly_however_uneven_the_frames_are() -> None:
    photo, dream = make_pictures(2)
    early = np.clip(photo + 0.02 * (dream.astype(np.float32) - photo), 0, 255).astype(np.uint8)
    uneven = [mean_difference(*pair) for pair in pairwise(Morph([photo, early, early, early, dream]))]
    even = [mean_difference(*pair) for pair in pairwise(Morph([photo, dream]))]
    assert max(uneven) < 1.5 * max(even)


def test_the_clip_loops_without_a_jump() -> None:
    clip = list(Morph(make_pictures()))
    assert mean_difference(clip[-1], clip[0]) <= max(mean_difference(*pair) for pair in pairwise(clip))


def test_the_photo_hangs_small_in_the_middle_of_its_dream() -> None:
    pictures = make_pictures(2, (320, 240))
    photo, dream = pictures
    first = next(iter(Zoom(pictures)))
    nested = crop_center(first, Zoom.NESTED_SIDE_SHARE / 2)
    assert mean_difference(nested, resize_like(crop_center(photo, 1 / 2), reference=nested)) < 8
    assert mean_difference(nested, crop_center(dream, Zoom.NESTED_SIDE_SHARE / 2)) > 20
    np.testing.assert_array_equal(first[:90], dream[:90])


def test_the_zoom_ends_where_it_began() -> None:
    for size in ((160, 120), (120, 160), (131, 131)):
        clip = list(Zoom(make_pictures(size=size)))
        for share in (1, Zoom.NESTED_SIDE_SHARE, Zoom.NESTED_SIDE_SHARE / 2):
            centers = [crop_center(frame, share) for frame in (*clip[-5:], *clip[:5])]
            steps = [mean_difference(*pair) for pair in pairwise(centers)]
            assert steps[4] < 1.3 * max(steps[:4] + steps[5:])


def test_the_zoom_goes_on_at_one_speed() -> None:
    # On a picture with detail everywhere, the change from one frame to the next measures the speed.
    rng = np.random.default_rng(0)
    dream = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    clip = list(Zoom([dream, dream]))
    steps = [mean_difference(*pair) for pair in pairwise(clip)]
    assert max(steps) < 3 * min(steps)
    assert max(abs(after - before) for before, after in pairwise(steps)) < 0.15 * max(steps)


def test_the_zoom_has_no_border_and_no_seam() -> None:
    white = np.full((120, 160, 3), 255, np.uint8)
    for frame in Zoom([white, white]):
        assert frame.min() >= 254


def test_the_photo_dreams_while_it_comes_near() -> None:
    photo, dream = np.zeros((120, 160, 3), np.uint8), np.full((120, 160, 3), 200, np.uint8)
    clip = list(Zoom([photo, dream]))
    assert clip[0][60, 80, 0] < 5
    # The photo grows over a point that showed the dream, and has become the dream once it covers the point.
    brightness = [int(frame[60, 66, 0]) for frame in clip]
    assert brightness[0] == 200
    assert min(brightness) < 30
    assert brightness[-len(brightness) // 10] > 190


def test_videos_keep_the_aspect_with_even_sides() -> None:
    assert fit_video_size(864, 1536, 1080) == (1080, 608)
    assert fit_video_size(1536, 1152, 1080) == (810, 1080)
    assert fit_video_size(372, 640, 1080) == (640, 372)
    assert fit_video_size(101, 99, 1080) == (98, 100)
    assert fit_video_size(3, 900, 1080) == (900, 16)


def test_a_photo_that_is_a_mere_line_has_clips_too() -> None:
    pictures = make_pictures(2, (300, 3))
    for animation in (Morph(pictures), Zoom(pictures)):
        assert next(iter(animation)).shape == (16, 300, 3)


def test_a_photo_without_a_dream_is_no_clip() -> None:
    with pytest.raises(ValueError, match="1 picture cannot"):
        Morph(make_pictures(2)[:1])
