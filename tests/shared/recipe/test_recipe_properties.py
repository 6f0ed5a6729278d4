"""Recipes, whatever is in them: each is read as it was written, or refused in one sentence."""

import copy

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ArtDreamError
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.recipe import Recipe, list_recipe_names, load_recipe, parse_recipe
from tests.nested import iter_infinities, iter_places

Table = dict[str, object]

#: Every bundled recipe and a painter's, but for fields of later versions that they do not use.
TABLES: list[Table] = [
    load_recipe(name).model_dump(mode="json", exclude_none=True) for name in (*list_recipe_names(), "more-paul-klee")
]

words = st.sampled_from(["noise", "photo", "adam", "pyramid", "fourier", "layers", "style", "lines", "block4"])
numbers = st.one_of(st.integers(), st.integers(0, 20), st.sampled_from(LONG_SIDES), st.floats(), st.floats(0, 2))
values = st.recursive(
    st.booleans() | st.dates() | numbers | st.text(max_size=10) | words,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(words | st.text(max_size=5), values, max_size=3),
    max_leaves=4,
)


@st.composite
def changed_tables(draw: st.DrawFn) -> Table:
    """Draw a bundled recipe of which some fields have other values."""
    table = copy.deepcopy(draw(st.sampled_from(TABLES)))
    for _ in range(draw(st.integers(0, 3))):
        part, key = draw(st.sampled_from(list(iter_places(table))))
        part[key] = draw(values)
    return table


def read(table: Table) -> Recipe | None:
    try:
        return parse_recipe(tomli_w.dumps(table), source="mine.toml")
    except ArtDreamError:
        return None


@given(changed_tables())
def test_a_recipe_is_read_as_it_was_written_or_is_refused(table: Table) -> None:
    recipe = read(table)
    if recipe:
        assert read(recipe.model_dump(mode="json", exclude_none=True)) == recipe
        from_json = Recipe.model_validate_json(recipe.model_dump_json())
        assert from_json == recipe
        assert from_json.digest == recipe.digest


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "replace")))
def test_what_is_no_recipe_is_refused(text: str) -> None:
    with pytest.raises(ArtDreamError, match=r"mine\.toml"):
        parse_recipe(text, source="mine.toml")


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["name"])
def test_no_number_of_a_recipe_is_infinite(table: Table) -> None:
    assert read(table)
    for changed in iter_infinities(copy.deepcopy(table)):
        assert read(changed) is None
