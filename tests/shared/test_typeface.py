"""Texts on pictures: each letter in a font that has it."""

import pytest
from PIL import Image, ImageDraw

from shared.typeface import Style, draw_text, find_missing_letters, measure_text

UNKNOWN = "\U000f0000"


def test_what_no_font_can_write_is_left_out_and_not_a_box() -> None:
    assert find_missing_letters(f"a{UNKNOWN}b {UNKNOWN}") == [UNKNOWN]
    assert measure_text(f"a{UNKNOWN}b", Style.TITLE, 40) == pytest.approx(
        measure_text("a", Style.TITLE, 40) + measure_text("b", Style.TITLE, 40)
    )


@pytest.mark.parametrize("style", Style)
def test_names_of_all_europe_can_be_written(style: Style) -> None:
    assert find_missing_letters("Łódź – Großäöü ïçñ, Đorđe Žižek “I”", style) == []
    assert measure_text("Łódź", style, 40) > 40


def test_a_line_is_as_wide_as_it_was_measured() -> None:
    picture = Image.new("L", (400, 100))
    draw_text(ImageDraw.Draw(picture), (20, 60), "A Night of Łódź", Style.TITLE, 40, "#ffffff")
    left, _, right, _ = picture.getbbox() or (0, 0, 0, 0)
    assert (left, right) == pytest.approx((20, 20 + measure_text("A Night of Łódź", Style.TITLE, 40)), abs=4)
