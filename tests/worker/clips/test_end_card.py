"""The end card: what a clip shows last, at an event with a title of its own."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from shared.appearance import Appearance, Theme
from shared.colors import parse_color
from shared.recipe.canvas import Canvas
from tests.worker.clips.videos import Picture, make_pictures
from worker.clips.animations import Morph
from worker.clips.end_card import FADE_SECONDS, HOLD_SECONDS, EndCard, WithEndCard

RED = (230, 20, 60)


def make_logo(width: int = 300, height: int = 100) -> Image.Image:
    """Return a red logo."""
    return Image.new("RGBA", (width, height), RED)


def count_pixels(card: Picture, color: tuple[int, int, int]) -> int:
    return int((card == np.array(color)).all(axis=-1).sum())


@pytest.mark.parametrize("theme", Theme)
def test_a_card_has_the_logo_and_letters_in_the_colors_of_the_event(theme: Theme) -> None:
    appearance = Appearance(title="Long night", subtitle="In the museum", accent="#00c070", theme=theme)
    card = EndCard(appearance, make_logo()).render(Canvas(640, 480))
    colors = appearance.colors
    assert card.shape == (480, 640, 3)
    assert count_pixels(card, RED) == pytest.approx(288 * 96, rel=0.05)  # a fifth of the height
    for color in (colors.ink, colors.muted, colors.accent):
        assert count_pixels(card, parse_color(color)) > 20, color
    assert count_pixels(card, parse_color(colors.ground)) > 0.6 * 640 * 480


@given(
    title=st.text(st.characters(categories=["L", "N", "P", "Zs"], max_codepoint=0x17F), min_size=1, max_size=60),
    subtitle=st.text(st.sampled_from("Wide MM"), max_size=120),
    size=st.sampled_from([(480, 360), (360, 480), (1080, 360), (16, 16), (1080, 270)]),
    has_logo=st.booleans(),
)
def test_nothing_is_cut_off_whatever_the_title_and_the_shape(
    title: str, subtitle: str, size: tuple[int, int], has_logo: bool
) -> None:
    appearance = Appearance(title=title, subtitle=subtitle)
    card = EndCard(appearance, make_logo() if has_logo else None).render(Canvas(*size))
    ground = parse_color(appearance.colors.ground)
    assert card.shape == (size[1], size[0], 3)
    if min(size) > 16:  # where letters have some pixels
        edges = np.concatenate([card[0], card[-1], card[:, 0], card[:, -1]])
        assert np.abs(edges.astype(int) - ground).max() <= 3


def test_letters_that_the_typeface_has_not_are_left_out_and_the_log_names_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert EndCard(Appearance(title="\U000f0000"), None).is_empty
        card = EndCard(Appearance(title="\U000f0000"), make_logo())
    assert not card.is_empty
    assert "no font here has \U000f0000" in caplog.text
    assert not EndCard(Appearance(title="Łódź – Großäöü ïçñ"), None).is_empty


def test_an_animation_fades_into_the_card_and_ends_with_it() -> None:
    morph, card = Morph(make_pictures(3, (96, 64)), rate=10), EndCard(Appearance(title="Long night"), None)
    pictures = list(animation := WithEndCard(morph, card))
    assert len(pictures) == len(animation) == len(morph) + round(10 * FADE_SECONDS) + round(10 * HOLD_SECONDS)
    rendered = card.render(Canvas(96, 64))
    assert all((picture == rendered).all() for picture in pictures[-round(10 * HOLD_SECONDS) :])
    assert all((one == other).all() for one, other in zip(pictures, morph, strict=False))
    distances = [np.abs(picture.astype(int) - rendered).mean() for picture in pictures[len(morph) - 1 :]]
    assert distances == sorted(distances, reverse=True)
    assert (animation.size, animation.rate) == (morph.size, morph.rate)
