"""A photo of any size is dreamt whole: padded to its canvas, cropped out again, and nothing of it shifted or lost."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from shared.recipe.canvas import choose_canvas, scale_to_canvas
from shared.recipe.recipe import Ellipse, load_recipe
from tests.pictures import make_picture
from worker.dreamer import Pixels
from worker.dreaming.canvas_fit import CanvasFit
from worker.dreaming.octaves import AscentState, Octave
from worker.dreaming.reference_images import ReferenceImages
from worker.networks.network import to_picture, to_pixels

CANVAS_SIDE, DREAM_SIDE = 256, 512

photos = st.builds(
    lambda height, width, seed: np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8),
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    seed=st.integers(0, 99),
)
fractions = st.floats(0, 1, width=32)
ellipses = st.builds(
    Ellipse,
    kind=st.just("ellipse"),
    x=fractions,
    y=fractions,
    width=st.floats(0.125, 3),
    height=st.floats(0.125, 3),
    feather=fractions,
    outside=st.booleans(),
)


def fit_photo(photo: Pixels, **options: object) -> CanvasFit:
    fields = {"canvas": CANVAS_SIDE, "size": DREAM_SIDE, **options}
    return CanvasFit([photo], load_recipe("animals").model_copy(update=fields), ReferenceImages())


def make_state(canvas_fit: CanvasFit, change: float) -> tuple[AscentState, NDArray[np.float32]]:
    """Return the end of an ascent that changed each value of the canvas by as much, and the canvas."""
    canvas = canvas_fit.resize_photos(Octave(canvas_fit.canvas.height, canvas_fit.canvas.width))
    state = AscentState(1.0, True, canvas, np.zeros(1), (), lambda _: canvas + np.float32(change))
    return state, canvas


@settings(max_examples=20, deadline=None)
@given(photos)
def test_a_dream_that_changed_nothing_is_the_photo_at_its_documented_size(photo: Pixels) -> None:
    height, width, _ = photo.shape
    canvas_fit = fit_photo(photo)
    state, canvas = make_state(canvas_fit, 0.0)
    assert canvas.shape[2:0:-1] == canvas_fit.canvas == choose_canvas(width, height, CANVAS_SIDE)
    for scaled_photos, side in ((canvas_fit.frame_photos, CANVAS_SIDE), (canvas_fit.photos, DREAM_SIDE)):
        [dream] = canvas_fit.composite(state, scaled_photos) or []
        assert dream.shape[1::-1] == scale_to_canvas(width, height, side)
        np.testing.assert_array_equal(dream, scaled_photos[0])


@settings(max_examples=20, deadline=None)
@given(photos, st.floats(-2, 2, width=32))
def test_a_change_reaches_every_pixel_of_the_photo(photo: Pixels, change: float) -> None:
    canvas_fit = fit_photo(photo)
    state, _ = make_state(canvas_fit, change)
    for scaled_photos in (canvas_fit.frame_photos, canvas_fit.photos):
        [dream] = canvas_fit.composite(state, scaled_photos) or []
        expected = to_pixels(to_picture(scaled_photos[0]) + np.float32(change))
        np.testing.assert_allclose(dream.astype(int), expected.astype(int), atol=1)


@pytest.mark.parametrize(("side", "is_loaded"), [(DREAM_SIDE // 2, True), (DREAM_SIDE, False)])
def test_a_dream_has_the_detail_of_the_full_photo_which_is_loaded_only_if_it_has_more(
    side: int, *, is_loaded: bool
) -> None:
    full_photo = np.asarray(make_picture(1, (4 * DREAM_SIDE, 3 * DREAM_SIDE)))
    working_photo = np.asarray(make_picture(2, (side, side * 3 // 4)))
    recipe = load_recipe("animals").model_copy(update={"canvas": CANVAS_SIDE, "size": DREAM_SIDE})
    canvas_fit = CanvasFit([working_photo], recipe, ReferenceImages(), None, [lambda: full_photo])
    expected = Image.fromarray(full_photo if is_loaded else working_photo)
    expected = expected.resize((DREAM_SIDE, DREAM_SIDE * 3 // 4), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(canvas_fit.photos[0], np.asarray(expected))


@pytest.mark.parametrize("full_index", [0, 1])
def test_each_photo_of_a_batch_is_loaded_in_full_only_if_it_has_less(full_index: int) -> None:
    """Seen failing: the first photo decided for all of them, and the other dreams had the detail of the canvas."""
    size, canvas_size = (DREAM_SIDE, DREAM_SIDE * 3 // 4), (CANVAS_SIDE, CANVAS_SIDE * 3 // 4)
    full_photos = [np.asarray(make_picture(seed, size)) for seed in range(2)]
    given_photos = [
        photo if index == full_index else np.asarray(Image.fromarray(photo).resize(canvas_size))
        for index, photo in enumerate(full_photos)
    ]
    loaded: list[int] = []

    def load(index: int) -> Pixels:
        loaded.append(index)
        return full_photos[index]

    recipe = load_recipe("animals").model_copy(update={"canvas": CANVAS_SIDE, "size": DREAM_SIDE})
    loaders = [partial(load, index) for index in range(2)]
    canvas_fit = CanvasFit(given_photos, recipe, ReferenceImages(), None, loaders)
    np.testing.assert_array_equal(canvas_fit.photos, full_photos)
    assert loaded == [1 - full_index]


@settings(max_examples=20, deadline=None)
@given(photos, ellipses)
def test_no_pixel_changes_on_the_wrong_side_of_an_ellipse(photo: Pixels, mask: Ellipse) -> None:
    canvas_fit = fit_photo(photo, mask=mask)
    state, _ = make_state(canvas_fit, 1.0)
    [scaled] = canvas_fit.frame_photos
    [dream] = canvas_fit.composite(state, [scaled]) or []
    height, width, _ = scaled.shape
    y, x = (np.mgrid[0.5:height, 0.5:width].T / (height, width)).T
    radius = np.hypot((x - mask.x) / (mask.width / 2), (y - mask.y) / (mask.height / 2))
    is_kept = radius < 0.999 if mask.outside else radius > 1.001
    np.testing.assert_array_equal(dream[is_kept], scaled[is_kept])
