"""Photos of any aspect ratio share a few canvases."""

import pytest

from shared.recipe.canvas import LONG_SIDES, SIDE_MULTIPLE, choose_canvas, list_canvases, scale_to_long_side


@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_there_are_few_canvases_and_the_networks_strides_divide_them(long_side: int) -> None:
    assert len(list_canvases(long_side)) == 5
    for canvas in list_canvases(long_side):
        assert max(canvas) == long_side
        assert canvas.width % SIDE_MULTIPLE == canvas.height % SIDE_MULTIPLE == 0


@pytest.mark.parametrize("size", [(4032, 3024), (3024, 4032), (1920, 1080), (3000, 2000), (1, 1), (9000, 9), (9, 9000)])
@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_a_photo_of_any_shape_finds_a_canvas_that_holds_all_of_it(size: tuple[int, int], long_side: int) -> None:
    photo, canvas = scale_to_long_side(*size, long_side), choose_canvas(*size, long_side)
    assert max(photo) == long_side
    assert photo.width <= canvas.width
    assert photo.height <= canvas.height


def test_a_phones_photo_fills_its_canvas() -> None:
    assert choose_canvas(4032, 3024, 640) == scale_to_long_side(4032, 3024, 640)
    assert choose_canvas(3024, 4032, 640) == scale_to_long_side(3024, 4032, 640)
