"""Photos of any shape share a few canvases."""

import pytest

from shared.recipe.canvas import GRAIN, LONG_SIDES, canvas_for, canvases, fitted


@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_there_are_few_canvases_and_the_networks_strides_divide_them(long_side: int) -> None:
    assert len(canvases(long_side)) == 5
    for canvas in canvases(long_side):
        assert max(canvas) == long_side
        assert canvas.width % GRAIN == canvas.height % GRAIN == 0


@pytest.mark.parametrize("size", [(4032, 3024), (3024, 4032), (1920, 1080), (3000, 2000), (1, 1), (9000, 9), (9, 9000)])
@pytest.mark.parametrize("long_side", LONG_SIDES)
def test_a_photo_of_any_shape_finds_a_canvas_that_holds_all_of_it(size: tuple[int, int], long_side: int) -> None:
    photo, canvas = fitted(*size, long_side), canvas_for(*size, long_side)
    assert max(photo) == long_side
    assert photo.width <= canvas.width
    assert photo.height <= canvas.height


def test_a_phones_photo_fills_its_canvas() -> None:
    assert canvas_for(4032, 3024, 640) == fitted(4032, 3024, 640)
    assert canvas_for(3024, 4032, 640) == fitted(3024, 4032, 640)
