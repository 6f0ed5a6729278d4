"""The engine turns any photo into a dream of the photo's aspect ratio, and the same seed gives the same pixels."""

import functools
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.errors import ArtDreamError
from shared.recipe.canvas import choose_canvas
from shared.recipe.recipe import People, Recipe, list_recipe_names, load_recipe
from worker.backend import count_traces
from worker.dreamer import Frame
from worker.dreaming import engine as engine_module
from worker.dreaming import masks
from worker.dreaming.engine import MAX_COMPILED_OBJECTIVES, Engine
from worker.dreaming.reference_images import ReferenceImages
from worker.networks import Networks
from worker.networks.network import to_picture
from worker.networks.people import find_people

Pixels = NDArray[np.uint8]

#: Recipes whose network needs downloaded weights.
FETCHED_RECIPES = {name for name in list_recipe_names() if load_recipe(name).network != "lite"}

NETWORKS = Networks(Path("/nowhere"))
ENGINE = Engine(NETWORKS, ReferenceImages())


def dream_pixels(photo: Pixels, recipe: Recipe, *, seed: int, **options: Any) -> Pixels:
    return ENGINE.dream(photo, recipe, seed=seed, **options).pixels


def make_short_recipe(name: str = "animals", **ascent: Any) -> Recipe:
    """Return a bundled recipe on the smallest canvas, with few steps; `ascent` overrides fields of its ascent."""
    recipe = load_recipe(name)
    ascent_changes = {"octaves": 2, "steps": 3, **ascent}
    return recipe.model_copy(
        update={"canvas": 256, "size": None, "ascent": recipe.ascent.model_copy(update=ascent_changes)}
    )


def make_recipe(*terms: dict[str, Any], **fields: Any) -> Recipe:
    """Return a recipe with these objective terms, on the smallest canvas."""
    ascent = {"octaves": 2, "steps": 5} | fields.pop("ascent", {})
    defaults = {"name": "mine", "version": 1, "title": "Mine", "description": "Mine.", "canvas": 256}
    return Recipe.model_validate(defaults | {"objective": terms, "ascent": ascent} | fields)


BLOCK10_TERM = {"kind": "layers", "layers": {"block10": 1}}


def compute_activations(pixels: Pixels, layer: str) -> NDArray[np.float32]:
    """Return the activations of a layer of `lite`: (rows, columns, channels) float32."""
    return np.asarray(NETWORKS.load("lite").feature_extractor([layer])(to_picture(pixels))[layer])[0]


def make_landscape(width: int = 320, height: int = 240) -> Pixels:
    """Return a sky over hills with some detail, as in a photo: (height, width, 3) uint8."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    hills = y > 0.6 + 0.1 * np.sin(9 * x)
    sky = np.stack([90 + 60 * y, 140 + 50 * y, 230 - 30 * y], axis=-1)
    ground = np.stack([60 + 40 * np.sin(70 * x), 120 + 30 * np.cos(50 * y), 50 + 0 * x], axis=-1)
    return np.where(hills[..., None], ground, sky).astype(np.uint8)


def mean_difference(one: Pixels, other: Pixels) -> float:
    """Return the mean absolute difference, in grey levels."""
    return float(np.abs(one.astype(float) - other).mean())


def collect_frames(recipe: Recipe, photo: Pixels) -> tuple[list[Frame], Pixels]:
    frames: list[Frame] = []
    return frames, dream_pixels(photo, recipe, seed=1, on_frame=frames.append)


def test_the_same_seed_gives_the_same_pixels() -> None:
    assert np.array_equal(
        dream_pixels(make_landscape(), make_short_recipe(), seed=7),
        dream_pixels(make_landscape(), make_short_recipe(), seed=7),
    )


def test_another_seed_gives_another_dream() -> None:
    assert (
        mean_difference(
            dream_pixels(make_landscape(), make_short_recipe(), seed=7),
            dream_pixels(make_landscape(), make_short_recipe(), seed=8),
        )
        > 1
    )


def test_being_watched_does_not_change_the_dream() -> None:
    _, dream_with_frames = collect_frames(make_short_recipe(), make_landscape())
    assert np.array_equal(dream_with_frames, dream_pixels(make_landscape(), make_short_recipe(), seed=1))


@functools.cache
def render_frames(name: str) -> list[Frame]:
    """Return the frames of a bundled recipe's dream, the dream itself last; small, with fewer and coarser steps."""
    recipe = load_recipe(name)
    return collect_frames(make_short_recipe(name, octaves=recipe.ascent.octaves, steps=8), make_landscape())[0]


@pytest.mark.slow
def test_no_two_recipes_dream_alike() -> None:
    names = [name for name in list_recipe_names() if name not in FETCHED_RECIPES and not load_recipe(name).mask]
    dreams = [render_frames(name)[-1].pixels for name in names]
    differences = [mean_difference(dream, earlier) for index, dream in enumerate(dreams) for earlier in dreams[:index]]
    assert len(dreams) >= 12
    assert min(differences) > 2


def mean_activation(pixels: Pixels, layer: str = "block10") -> float:
    return float(np.mean(np.square(compute_activations(pixels, layer))))


def test_the_dream_of_a_weight_below_zero_lowers_the_objective() -> None:
    negative = make_recipe({**BLOCK10_TERM, "weight": -1})
    assert (
        mean_activation(dream_pixels(make_landscape(), negative, seed=1))
        < mean_activation(make_landscape())
        < mean_activation(dream_pixels(make_landscape(), make_short_recipe(), seed=1))
    )


def test_without_steps_the_photo_stays_as_it_was() -> None:
    frames, result = collect_frames(make_short_recipe(steps=0), make_landscape(256, 192))
    assert np.array_equal(result, make_landscape(256, 192))
    assert [(frame.index, frame.fraction) for frame in frames] == [(0, 1.0)]


def test_the_photos_own_detail_comes_back_at_every_octave() -> None:
    fine = np.where(np.indices((256, 256)).sum(0) % 2 == 0, 100, 156).astype(np.uint8)[..., None].repeat(3, axis=2)
    result = dream_pixels(fine, make_short_recipe(octaves=4, step=0.001), seed=1).astype(float)
    assert np.abs(np.diff(result, axis=1)).mean() > 50  # 56 in the photo; an octave carried up would be blurred to 0


def test_a_faint_dream_lies_where_the_photo_is() -> None:
    without_steps = dream_pixels(make_landscape(), make_short_recipe(steps=0), seed=1)
    assert 0 < mean_difference(dream_pixels(make_landscape(), make_short_recipe(step=0.001), seed=1), without_steps) < 1


def test_frames_emerge_in_order_and_end_in_the_dream() -> None:
    frames, result = collect_frames(make_short_recipe(octaves=4, steps=10), make_landscape())
    assert [frame.index for frame in frames] == list(range(len(frames)))
    fractions = [frame.fraction for frame in frames]
    assert fractions == sorted(set(fractions))
    assert fractions[0] <= 0.15
    assert fractions[-1] == 1
    assert {frame.pixels.shape for frame in frames} == {result.shape}
    assert np.array_equal(frames[-1].pixels, result)
    photo = dream_pixels(make_landscape(), make_short_recipe(steps=0), seed=1)
    assert mean_difference(frames[-1].pixels, photo) > mean_difference(frames[0].pixels, photo) > 0


def test_the_first_step_is_seen_at_once() -> None:
    """Fails if the first frame waits for its share of the work."""
    ascent = {"parameterisation": "pyramid", "optimiser": "adam", "steps": 30, "step": 0.05}
    frames, _ = collect_frames(make_recipe(BLOCK10_TERM, ascent=ascent), make_landscape())
    assert frames[0].fraction == pytest.approx(1 / 30)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in {"lines", "peacock"} else pytest.mark.slow)
        for name in sorted(set(list_recipe_names()) - FETCHED_RECIPES)
    ],
)
def test_a_guest_sees_a_frame_for_every_octave_the_first_of_them_early(name: str) -> None:
    frames = render_frames(name)
    assert len(frames) >= min(load_recipe(name).ascent.octaves, 3)
    assert frames[0].fraction <= 0.15


def test_a_frame_that_cannot_be_told_ends_the_dream() -> None:
    def cancelled(frame: Frame) -> None:
        raise InterruptedError(frame.index)

    with pytest.raises(InterruptedError):
        dream_pixels(make_landscape(), make_short_recipe(), seed=1, on_frame=cancelled)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX traces once for each size")
def test_a_recipe_is_traced_once_for_pictures_of_every_size() -> None:
    ENGINE.warm_up(make_short_recipe())  # with the first ascent of a process, what all of them share is traced
    before = count_traces()
    ENGINE.warm_up(make_short_recipe(levels=2))  # an ascent that no other test traces
    assert count_traces() == before + 1


def test_what_stays_compiled_is_bounded_and_is_what_was_used_last() -> None:
    """Seen failing: each recipe that differed in one number took 30 MB for good."""
    engine = Engine(NETWORKS, ReferenceImages())
    recipes = [
        make_recipe({"kind": "layers", "layers": {"block10": 1 + number / 100}})
        for number in range(MAX_COMPILED_OBJECTIVES + 4)
    ]
    first = engine._compile_ascent(recipes[0])
    for recipe in recipes:
        engine._compile_ascent(recipe)
        engine._compile_ascent(recipes[0])
    assert len(engine._objective_gradients) == MAX_COMPILED_OBJECTIVES
    assert engine._compile_ascent(recipes[0]).objective_gradient is first.objective_gradient


def test_the_first_photo_of_any_warm_canvas_compiles_nothing() -> None:
    recipe = make_short_recipe("lines")
    ENGINE.warm_up(recipe)
    before = count_traces()
    assert before > 0
    for size in ((400, 300), (300, 400), (160, 90), (90, 160), (50, 50), (900, 30)):
        dream_pixels(make_landscape(*size), recipe, seed=1)
    assert count_traces() == before


def test_a_recipe_that_sees_the_canvas_at_several_scales_is_warm_for_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen failing with JAX, which compiles for each: the first guest waited for three scales of four."""
    # Of five canvases, the photo's.
    monkeypatch.setattr(engine_module, "list_canvases", lambda long_side: [choose_canvas(320, 240, long_side)])
    ascent = {"parameterisation": "pyramid", "optimiser": "adam", "view_scale": 0.25, "steps": 8}
    recipe = make_recipe({"kind": "layers", "layers": {"stem": 1}}, ascent=ascent)
    ENGINE.warm_up(recipe)
    before = count_traces()
    dream_pixels(make_landscape(), recipe, seed=1)
    assert count_traces() == before


def test_a_recipe_that_differs_in_its_mask_alone_is_warmed_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen failing: the first guest waited for the networks that see people."""
    photos: list[Pixels] = []

    def find_and_record(photo: Pixels) -> NDArray[np.float32] | None:
        photos.append(photo)
        return find_people(photo)

    monkeypatch.setattr(masks, "find_people", find_and_record)
    recipe = make_short_recipe(octaves=1)
    ENGINE.warm_up(recipe)
    assert not photos
    ENGINE.warm_up(recipe.model_copy(update={"mask": People(kind="people")}))
    assert photos


def test_a_recipe_that_differs_in_its_brush_alone_is_warmed_up_too() -> None:
    """Seen failing: the first guest waited for the filter."""
    recipe = make_short_recipe(octaves=1)
    ENGINE.warm_up(recipe)
    brushed = recipe.model_copy(update={"brush": 0.023})  # which no other test has
    ENGINE.warm_up(brushed)
    before = count_traces()
    dream_pixels(make_landscape(), brushed, seed=1)
    assert count_traces() == before


def test_a_misspelt_class_is_named_when_a_recipe_is_warmed_up_though_another_with_its_network_is_warm() -> None:
    """Seen failing: the worker started, and each of the recipe's jobs failed."""
    objective = {"kind": "classes", "classes": ["goldfish"]}
    ENGINE.warm_up(make_recipe(objective, ascent={"octaves": 1}))
    with pytest.raises(ArtDreamError, match=r"goldfsh.*goldfish"):
        ENGINE.warm_up(make_recipe(objective | {"classes": ["goldfsh"]}, ascent={"octaves": 1}))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((3, 2), (171, 256)),
        ((1, 1), (256, 256)),
        ((1000, 100), (52, 512)),  # panoramas
        ((7, 7000), (512, 2)),
        ((1200, 500), (128, 306)),
    ],
)
def test_a_photo_of_any_size_dreams_in_its_own_shape(size: tuple[int, int], expected: tuple[int, int]) -> None:
    result = dream_pixels(make_landscape(*size), make_short_recipe(), seed=1)
    assert result.shape == (*expected, 3)
    assert mean_difference(result, dream_pixels(make_landscape(*size), make_short_recipe(steps=0), seed=1)) > 1


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 90, 255)])
def test_a_photo_of_one_colour_dreams(colour: tuple[int, int, int]) -> None:
    photo = np.full((300, 400, 3), colour, np.uint8)
    result = dream_pixels(photo, make_short_recipe(), seed=1)
    assert result.reshape(-1, 3).std(axis=0).max() > 2


def test_nothing_of_the_photo_is_cut_and_nothing_is_added() -> None:
    photo = make_landscape(256, 128)  # on a canvas of 256 × 160
    photo[0], photo[-1], photo[:, 0], photo[:, -1] = 255, 0, 255, 0
    without_steps = dream_pixels(photo, make_short_recipe(steps=0), seed=1)
    assert np.array_equal(without_steps, photo)


def test_an_unknown_layer_is_named_with_near_ones() -> None:
    recipe = make_recipe({"kind": "layers", "layers": {"blok10": 1}})
    with pytest.raises(ArtDreamError, match=r"no layer “blok10”.*block10"):
        dream_pixels(make_landscape(), recipe, seed=1)


@pytest.mark.parametrize("weight", [1e30, 1e38])
@pytest.mark.parametrize("levels", [0, 3])
def test_a_runaway_objective_ends_the_dream_with_a_reason(weight: float, levels: int) -> None:
    recipe = make_recipe({**BLOCK10_TERM, "weight": weight}, ascent={"levels": levels})
    with pytest.raises(ArtDreamError, match="“mine” ran away"):
        dream_pixels(make_landscape(), recipe, seed=1)
    dream_pixels(make_landscape(), make_short_recipe(), seed=1)  # the next dream is not affected


@pytest.mark.parametrize("photo", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
def test_what_is_no_photo_is_refused(photo: Pixels) -> None:
    with pytest.raises(ValueError, match="A photo is"):
        dream_pixels(photo, make_short_recipe(), seed=1)


def test_a_recipe_tells_the_weights_it_dreams_with() -> None:
    dreamt = ENGINE.dream(make_landscape(), make_short_recipe(), seed=1)
    assert dreamt.precision in ("float32", "bfloat16")
    assert dreamt.weights_sha256 == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def test_a_picture_of_a_video_that_begins_with_no_dream_is_dreamt_as_a_photo_is() -> None:
    dream, change = ENGINE.dream_next(make_landscape(), make_short_recipe(), seed=7)
    assert np.array_equal(dream, dream_pixels(make_landscape(), make_short_recipe(), seed=7))
    assert change.shape == dream.shape


@pytest.mark.slow
@pytest.mark.parametrize("name", ["animals", "deep", "mosaic"])
@pytest.mark.parametrize("size", [(320, 240), (320, 200)])  # the second one is padded on its canvas
def test_a_picture_of_a_video_goes_on_with_the_dream_before_it(name: str, size: tuple[int, int]) -> None:
    photo = make_landscape(*size)
    recipe = make_short_recipe(name, steps=6)
    dream, change = ENGINE.dream_next(photo, recipe, seed=7)
    short_step = make_short_recipe(name, steps=1, step=1e-4)
    begun_with_dream, same_change = dream, change
    for _ in range(3):  # nothing may fade
        begun_with_dream, same_change = ENGINE.dream_next(photo, short_step, seed=7, change=same_change)
    assert mean_difference(begun_with_dream, dream) < 1
    assert np.abs(same_change - change).mean() < 0.01
    assert mean_difference(ENGINE.dream_next(photo, short_step, seed=7)[0], dream) > 2


def test_a_dream_goes_on_with_the_detail_that_it_had() -> None:
    """The small octaves, which have no detail, must not take it away."""
    photo = make_landscape(256, 192)
    rng = np.random.default_rng(0)
    detail = rng.choice([-0.2, 0.2], (*photo.shape[:2], 1)).astype(np.float32).repeat(3, axis=2)
    recipe = make_short_recipe(octaves=4, steps=1)
    _, change = ENGINE.dream_next(photo, recipe, seed=1, change=detail)
    _, change_without = ENGINE.dream_next(photo, recipe, seed=1)
    assert np.corrcoef((change - change_without).ravel(), detail.ravel())[0, 1] > 0.8


def test_a_picture_of_a_video_is_left_between_two_steps() -> None:
    steps = 0

    def interrupt() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ENGINE.dream_next(make_landscape(), make_short_recipe(), seed=7, on_step=interrupt)
    assert steps == 2


def test_a_video_and_a_guest_are_dreamt_at_the_same_time_and_neither_changes_the_other() -> None:
    alone = dream_pixels(make_landscape(), make_short_recipe(), seed=7)
    pictures: list[Pixels] = []
    thread = threading.Thread(
        target=lambda: pictures.extend(
            ENGINE.dream_next(make_landscape(), make_short_recipe(), seed=7)[0] for _ in range(3)
        )
    )
    thread.start()
    pictures += [dream_pixels(make_landscape(), make_short_recipe(), seed=7) for _ in range(3)]
    thread.join()
    assert len(pictures) == 6
    assert all(np.array_equal(picture, alone) for picture in pictures)
