"""A guest's video is dreamt so that the dream moves with what it is on, instead of flickering."""

import numpy as np
import pytest
from PIL import Image

from shared.recipe.recipe import Recipe, load_recipe
from tests.worker.clips.videos import Picture, SpeckledDreamer, encode_video, make_pan, mean_difference
from worker.clips.dreamt_video import (
    MAX_LONG_SIDE,
    MIN_PICTURES,
    WHOLE_INTERVAL,
    DreamtVideo,
    choose_video_recipe,
    dream_video,
)
from worker.clips.guest_video import GuestVideo, KeptPictures, load_video
from worker.clips.optical_flow import FlowEstimator

RECIPE = load_recipe("animals")


def keep(pictures: list[Picture]) -> KeptPictures:
    kept = KeptPictures()
    for number, picture in enumerate(pictures):
        kept[number] = picture
    return kept


def list_pictures(kept: KeptPictures) -> list[Picture]:
    return [kept[number] for number in range(len(kept))]


def measure_flicker(pictures: list[Picture], dreams: list[Picture]) -> float:
    """Return the mean squared difference of each dream from the one before, moved as the pictures move."""
    errors = []
    for number in range(1, len(pictures)):
        motion = FlowEstimator().estimate(pictures[number], pictures[number - 1])
        difference = motion.warp(dreams[number - 1].astype(np.float32)) - dreams[number]
        errors.append(np.square(difference)[motion.is_consistent].mean())
    return float(np.mean(errors))


def test_a_dream_moves_with_what_it_is_on() -> None:
    pictures, dreamer = make_pan(12, (192, 128)), SpeckledDreamer()
    dreams = list_pictures(dream_video(dreamer, GuestVideo(keep(pictures), 5), RECIPE, seed=1))
    one_by_one = [SpeckledDreamer().dream_next(picture, RECIPE, seed=1)[0] for picture in pictures]
    assert len(dreams) == 12
    assert measure_flicker(pictures, dreams) < measure_flicker(pictures, one_by_one) / 4
    assert dreamer.followed == 11


def test_the_photo_among_the_pictures_looks_like_its_dream() -> None:
    pictures = make_pan(12, (192, 128))
    dreams = dream_video(SpeckledDreamer(), GuestVideo(keep(pictures), 5), RECIPE, seed=1)
    alone, _ = SpeckledDreamer().dream_next(keep(pictures)[5], RECIPE, seed=1)
    assert mean_difference(dreams[5], alone) < 3


def test_another_scene_begins_with_a_dream_of_its_own() -> None:
    first, second = make_pan(4, (192, 128)), [picture[::-1, ::-1] for picture in make_pan(4, (192, 128))]
    dreamer = SpeckledDreamer()
    dreams = dream_video(dreamer, GuestVideo(keep(first + second), 1), RECIPE, seed=1)
    alone, _ = SpeckledDreamer().dream_next(keep(second)[0], RECIPE, seed=1)
    assert dreamer.whole <= 3
    assert mean_difference(dreams[4], alone) < mean_difference(dreams[4], second[0]) / 2


def test_what_comes_into_the_picture_is_dreamt_too() -> None:
    pictures, dreamer = make_pan(24, (192, 128), pixels=4), SpeckledDreamer()
    dreams = list_pictures(dream_video(dreamer, GuestVideo(keep(pictures), 0), RECIPE, seed=1))
    new_strip = np.s_[:, -80:-50]  # it was not in the first picture
    assert mean_difference(dreams[-1][new_strip], pictures[-1][new_strip]) > 4
    assert 2 < dreamer.whole < 12


def test_a_restless_video_does_not_take_as_long_as_its_pictures_one_by_one() -> None:
    pictures, dreamer = make_pan(24, (192, 128), pixels=12), SpeckledDreamer()
    dream_video(dreamer, GuestVideo(keep(pictures), 0), RECIPE, seed=1)
    assert 1 < dreamer.whole <= 1 + 24 / WHOLE_INTERVAL


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_video_of_very_few_pictures_is_one(count: int) -> None:
    pictures = make_pan(count)
    dreams = dream_video(SpeckledDreamer(), GuestVideo(keep(pictures), count - 1), RECIPE, seed=1)
    assert len(dreams) == count
    assert len(list(DreamtVideo(keep(pictures), dreams))) == len(DreamtVideo(keep(pictures), dreams)) >= count


def test_a_clip_begins_as_the_video_and_ends_as_it_begins() -> None:
    pictures = make_pan(30)
    dreams = [255 - picture for picture in pictures]
    loop = list(DreamtVideo(keep(pictures), keep(dreams)))
    assert len(loop) == 58
    assert mean_difference(loop[0], pictures[0]) < 5
    for number in range(10, 49):
        assert mean_difference(loop[number], dreams[min(number, 58 - number)]) < 5
    assert max(mean_difference(one, other) for one, other in zip(loop, [*loop[1:], loop[0]], strict=True)) < 60


@pytest.mark.parametrize("stride", [1, 2])
def test_the_shortest_video_that_is_dreamt_shows_its_dream_in_full(stride: int) -> None:
    """Fails with one picture less."""
    pictures = make_pan(MIN_PICTURES)
    dreams = keep([255 - picture for picture in pictures])
    loop = list(DreamtVideo(keep(pictures), dreams, stride=stride))
    assert np.array_equal(loop[len(loop) // 2], dreams[MIN_PICTURES - 1])


def test_a_preview_has_fewer_and_smaller_pictures() -> None:
    pictures = make_pan(21)
    preview = DreamtVideo(keep(pictures), keep(pictures), stride=2, long_side=48)
    assert (preview.rate, len(preview), preview.size) == (5, 20, (48, 32))


@pytest.mark.parametrize("name", ["animals", "mosaic", "portrait"])
def test_a_recipe_dreams_videos_at_a_size_that_takes_no_hour(name: str) -> None:
    recipe = load_recipe(name).model_copy(update={"canvas": 1536, "size": 2048})
    video_recipe = choose_video_recipe(recipe)
    assert video_recipe is not None
    assert (video_recipe.canvas, video_recipe.size) == (MAX_LONG_SIDE, None)
    assert video_recipe.objective == recipe.objective


def make_variant(**fields: object) -> Recipe:
    return Recipe.model_validate(RECIPE.model_dump(exclude_unset=True) | fields)


def test_a_recipe_that_begins_with_noise_dreams_no_videos() -> None:
    ascent = {"optimiser": "adam"}
    assert choose_video_recipe(make_variant(start="noise", ascent=ascent)) is None
    assert choose_video_recipe(make_variant(ascent={"parameterisation": "fourier", **ascent})) is None


def test_a_video_out_of_the_store_is_dreamt() -> None:
    pictures = make_pan(5)
    video = load_video(encode_video(pictures), Image.fromarray(pictures[2]), 96)
    assert len(dream_video(SpeckledDreamer(), video, RECIPE, seed=1)) == 5
