"""Photos of any aspect ratio share a few canvases."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.recipe.canvas import (
    LONG_SIDES,
    SIDE_MULTIPLE,
    choose_canvas,
    fit_photo,
    list_canvases,
    scale_to_canvas,
    scale_to_long_side,
)

#: Sides of photos in pixels, and long sides of canvases.
sides, long_sides = st.integers(1, 100_000), st.sampled_from(LONG_SIDES)


@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_there_are_few_canvases_and_the_networks_strides_divide_them(long_side: int) -> None:
    assert len(list_canvases(long_side)) == 5
    for canvas in list_canvases(long_side):
        assert max(canvas) == long_side
        assert canvas.width % SIDE_MULTIPLE == canvas.height % SIDE_MULTIPLE == 0


@given(width=sides, height=sides, long_side=long_sides)
@example(4032, 3024, 640)
@example(640, 481, 640)  # a pixel too high for 4:3
@example(1, 1, 256)
@example(9000, 9, 4096)
def test_a_photo_of_any_shape_finds_a_canvas_that_holds_all_of_it(width: int, height: int, long_side: int) -> None:
    photo, canvas = scale_to_canvas(width, height, long_side), choose_canvas(width, height, long_side)
    panoramas = [(long_side * 5 // 4, long_side // 2), (2 * long_side, long_side // 2)]
    assert canvas in [*list_canvases(long_side), *panoramas, *(panorama[::-1] for panorama in panoramas)]
    assert canvas.width % SIDE_MULTIPLE == canvas.height % SIDE_MULTIPLE == 0
    assert photo.width <= canvas.width
    assert photo.height <= canvas.height
    assert max(photo) >= long_side  # it fills the canvas along one side, or is a panorama
    # No smaller one holds it.
    for smaller in list_canvases(long_side):
        if smaller.width * smaller.height < canvas.width * canvas.height:
            assert smaller.width < photo.width or smaller.height < photo.height


@given(width=sides, height=sides, long_side=long_sides)
def test_a_photo_keeps_its_aspect_to_a_pixel(width: int, height: int, long_side: int) -> None:
    photo = scale_to_long_side(width, height, long_side)
    assert max(photo) == long_side
    assert min(photo) >= 1
    exact_short_side = long_side * min(width, height) / max(width, height)
    assert abs(min(photo) - exact_short_side) < 1
    assert scale_to_long_side(*photo, long_side) == photo


@given(width=sides, height=sides, long_side=long_sides)
def test_a_photo_that_is_turned_turns_its_canvas(width: int, height: int, long_side: int) -> None:
    assert choose_canvas(height, width, long_side) == choose_canvas(width, height, long_side)[::-1]


def test_a_phones_photo_fills_its_canvas() -> None:
    assert choose_canvas(4032, 3024, 640) == scale_to_long_side(4032, 3024, 640)
    assert choose_canvas(3024, 4032, 640) == scale_to_long_side(3024, 4032, 640)


@given(width=sides, height=sides, long_side=long_sides)
@example(4000, 1002, 640)
def test_a_panorama_is_larger_with_no_more_pixels_than_a_square(width: int, height: int, long_side: int) -> None:
    photo, plain = scale_to_canvas(width, height, long_side), scale_to_long_side(width, height, long_side)
    assert photo.width * photo.height <= long_side**2
    if max(plain) <= 2 * min(plain):
        assert photo == plain
    elif max(plain) <= 4 * min(plain):
        assert abs(min(photo) - long_side / 2) <= 1
    else:
        assert max(photo) == 2 * long_side
    # Photos that have one size on the long side have one on the canvas: they can be dreamt in one batch.
    assert photo == scale_to_canvas(*plain, long_side)


@pytest.mark.parametrize(
    ("size", "dreamt"), [((16000, 4000), (1280, 320)), ((3000, 9600), (320, 1024)), ((1000, 500), (640, 320))]
)
def test_a_panorama_is_dreamt_at_a_size_that_is_worth_looking_at(
    size: tuple[int, int], dreamt: tuple[int, int]
) -> None:
    assert scale_to_canvas(*size, 640) == dreamt


@given(width=sides, height=sides, long_side=long_sides)
def test_a_photo_is_as_large_as_its_dream_needs_and_never_enlarged(width: int, height: int, long_side: int) -> None:
    photo = fit_photo(width, height, long_side)
    assert photo in {(width, height), scale_to_canvas(width, height, long_side)}
    assert photo.width <= width
    assert photo.height <= height


def test_a_photo_of_the_shape_of_a_phones_screen_does_not_take_the_canvas_of_a_panorama() -> None:
    assert choose_canvas(4000, 1800, 640) == (800, 320)
    assert choose_canvas(16000, 4000, 640) == (1280, 320)
