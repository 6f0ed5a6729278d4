"""Colors have the contrast that WCAG asks for, or are changed until they have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.colors import TEXT_CONTRAST, compute_contrast, ensure_contrast, parse_color

COLORS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@pytest.mark.parametrize(
    ("color", "other", "contrast"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#0000ff", 2.15),
    ],
)  # as https://webaim.org/resources/contrastchecker/ has them
def test_contrast_is_that_of_wcag(color: str, other: str, contrast: float) -> None:
    assert compute_contrast(color, other) == pytest.approx(contrast, abs=0.01)
    assert compute_contrast(other, color) == compute_contrast(color, other)


@given(
    color=COLORS, grounds=st.sampled_from([("#0b0a09", "#1b1917"), ("#f7f3ea", "#fffdf8"), ("#ffffff",), ("#777777",)])
)
def test_any_color_becomes_readable_and_one_that_is_stays_as_it_is(color: str, grounds: tuple[str, ...]) -> None:
    readable = ensure_contrast(color, *grounds)
    assert min(compute_contrast(readable, ground) for ground in grounds) >= TEXT_CONTRAST
    if min(compute_contrast(color, ground) for ground in grounds) >= TEXT_CONTRAST:
        assert readable == color


@given(color=COLORS)
def test_a_color_is_changed_no_more_than_it_needs(color: str) -> None:
    readable = ensure_contrast(color, "#0b0a09")
    if readable != color:
        darker = "#" + "".join(f"{max(0, value - 6):02x}" for value in parse_color(readable))
        assert compute_contrast(darker, "#0b0a09") < TEXT_CONTRAST


def test_a_color_keeps_its_hue() -> None:
    red, green, blue = parse_color(ensure_contrast("#0000ff", "#0b0a09"))
    assert blue == 255
    assert red == green < 140
