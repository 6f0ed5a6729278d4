"""Recipes are data, and say what is wrong with them."""

import pytest

from shared.errors import ArtDreamError
from shared.recipe import DEFAULT_RECIPE, load_recipe, parse_recipe, recipe_names

GOOD = """
name = "mine"
version = 1
title = "Mine"
description = "A recipe of my own."
[objective]
layers = { block8 = 1.0 }
"""


def test_every_bundled_recipe_is_valid_and_named_as_its_file() -> None:
    assert recipe_names()[0] == DEFAULT_RECIPE
    assert len(recipe_names()) >= 3
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_an_unknown_recipe_names_near_ones() -> None:
    with pytest.raises(ArtDreamError, match="Did you mean animals"):
        load_recipe("animal")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("version = 1", "version = 0"), "mine.toml, field “version”"),
        (("[objective]", "sharpness = 3\n[objective]"), "mine.toml, field “sharpness”"),
        (("block8 = 1.0", ""), "mine.toml, field “objective.layers”"),
        (('name = "mine"', 'name = "../mine"'), "mine.toml, field “name”"),
        (("version = 1", "canvas = 641\nversion = 1"), "mine.toml, field “canvas”"),
        (("version = 1", "version = "), "mine.toml is not valid TOML"),
        (("[objective]", "[ascent]\nstep = nan\n[objective]"), "mine.toml, field “ascent.step”"),
    ],
)
def test_a_faulty_recipe_names_its_file_and_field(change: tuple[str, str], told: str) -> None:
    parse_recipe(GOOD, source="mine.toml")
    with pytest.raises(ArtDreamError, match=told):
        parse_recipe(GOOD.replace(*change), source="mine.toml")
