"""Each painter that the bundled network knows has recipes, under a name in plain ASCII."""

import pytest

from shared.errors import ArtDreamError
from shared.recipe.objective import Classes, Style
from shared.recipe.painters import (
    DEFAULT_PAINTER_RECIPES,
    PAINTERS,
    RECIPE_KINDS,
    painters_by_recipe,
    render_painter_recipe,
    slugify_painter,
)
from shared.recipe.recipe import build_painter_recipe, load_recipe, parse_recipe
from shared.settings import Settings


def test_every_painter_has_recipes_of_the_painters_own_name() -> None:
    assert len(painters_by_recipe()) == len(RECIPE_KINDS) * len(PAINTERS)
    for name, painter in painters_by_recipe().items():
        recipe = load_recipe(name)
        assert recipe.name == name
        assert painter in recipe.title
        assert [term.classes for term in recipe.objective if isinstance(term, Classes)] == [(painter,)]
        assert {term.reference or term.artist for term in recipe.objective if isinstance(term, Style)} == {painter}
    assert load_recipe("more-albrecht-durer").title == "Albrecht Dürer"
    assert slugify_painter("Henri de Toulouse-Lautrec") == "henri-de-toulouse-lautrec"


def test_a_painter_written_wrong_is_guessed() -> None:
    with pytest.raises(ArtDreamError, match="Did you mean more-pablo-picasso"):
        load_recipe("more-pablo-pikasso")


def test_a_network_of_ones_own_gets_the_same_recipes() -> None:
    recipe = parse_recipe(render_painter_recipe("more", "Anna Rot", "artist/mine"), source="")
    assert (recipe.name, recipe.network) == ("more-anna-rot", "artist/mine")
    assert build_painter_recipe("Anna Rot", "artist/mine") == recipe


def test_where_nobody_chose_painters_take_turns() -> None:
    assert Settings(_env_file=None).recipes == DEFAULT_PAINTER_RECIPES
    assert Settings(recipe=" animals ,lines,", _env_file=None).recipes == ("animals", "lines")
    assert Settings(recipe="my own/dream.toml", _env_file=None).recipes == ("my own/dream.toml",)
