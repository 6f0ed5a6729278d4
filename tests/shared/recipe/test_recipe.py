"""Recipes are data, and an invalid one is refused with file and field."""

import re
from typing import get_args

import pytest

from shared.errors import ArtDreamError
from shared.recipe.objective import TERM_TYPES
from shared.recipe.painters import PAINTING_NETWORK
from shared.recipe.recipe import DEFAULT_RECIPE, Recipe, list_recipe_names, load_recipe, parse_recipe

VALID_RECIPE = """
name = "mine"
version = 1
title = "Mine"
description = "A recipe of my own."
[objective]
kind = "layers"
layers = { block8 = 1.0 }
"""


def test_every_bundled_recipe_is_valid_and_named_as_its_file() -> None:
    assert list_recipe_names()[0] == DEFAULT_RECIPE
    assert len(list_recipe_names()) >= 12
    for name in list_recipe_names():
        assert load_recipe(name).name == name


def test_an_unknown_recipe_names_near_ones() -> None:
    with pytest.raises(ArtDreamError, match="Did you mean animals"):
        load_recipe("animal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("version = 1", "version = 0"), "mine.toml, field “version”"),
        (("[objective]", "octaves = 3\n[objective]"), "mine.toml, field “octaves”: there is no such field"),
        (("[objective]", "canvass = 512\n[objective]"), "field “canvass”: there is no such field. Did you mean canvas"),
        (("[objective]", "[ascent]\njiter = 3\n[objective]"), "field “ascent.jiter”.*Did you mean jitter"),
        (('"layers"', '"layers"\nmesure = "mean"'), "field “objective.0.mesure”.*Did you mean measure"),
        (("[objective]", "[mask]\nkind = 'ellipse'\nfether = 1\n[objective]"), "“mask.fether”.*Did you mean feather"),
        (('"layers"', '"layer"'), "field “objective.0”.*'layers', 'channels'"),
        (("version = 1", "version = 1\nstart = 'noise'"), "fourier.* goes with optimiser"),
        (("[objective]", "[ascent]\nparameterisation = 'pyramid'\n[objective]"), "pyramid.* goes with optimiser"),
        (("[objective]", "[ascent]\nview_scale = 0.5\n[objective]"), "view_scale goes with another"),
        (('kind = "layers"', 'kind = "style"'), "name one of them"),
        (("block8 = 1.0", ""), "mine.toml, field “objective.0.layers”"),
        (('name = "mine"', 'name = "../mine"'), "mine.toml, field “name”"),
        (("version = 1", "canvas = 641\nversion = 1"), "mine.toml, field “canvas”"),
        (("version = 1", "version = "), "mine.toml is not valid TOML"),
        (("[objective]", "[ascent]\nstep = nan\n[objective]"), "mine.toml, field “ascent.step”"),
    ],
)
def test_a_faulty_recipe_names_its_file_and_field(change: tuple[str, str], message: str) -> None:
    parse_recipe(VALID_RECIPE, source="mine.toml")
    with pytest.raises(ArtDreamError, match=message):
        parse_recipe(VALID_RECIPE.replace(*change), source="mine.toml")


def test_an_objective_may_be_one_term_or_several() -> None:
    term = VALID_RECIPE[VALID_RECIPE.index("kind") :]
    one, two = (
        parse_recipe(VALID_RECIPE, source=""),
        parse_recipe(VALID_RECIPE.replace("[objective]", f"[[objective]]\n{term}\n[[objective]]"), source=""),
    )
    assert two.objective == one.objective * 2


@pytest.mark.parametrize("reference", ["../photos", "a/b/c", "/etc/passwd", "house/../x", ".hidden", ""])
def test_a_reference_cannot_leave_its_folder(reference: str) -> None:
    guided = VALID_RECIPE.replace('"layers"\n', f'"guide"\nreference = "{reference}"\n')
    with pytest.raises(ArtDreamError, match=r"objective\.0\.reference"):
        parse_recipe(guided, source="mine.toml")


def test_what_a_guest_cannot_see_in_the_picture_does_not_make_another_job() -> None:
    recipe = parse_recipe(VALID_RECIPE, source="")
    assert recipe.model_copy(update={"title": "Other", "stand_in": "lines"}).digest == recipe.digest
    assert recipe.model_copy(update={"keep_colours": True}).digest != recipe.digest


#: Terms and masks of each kind, with their defaults → digests of recipes with them.
PINNED_DIGESTS = {
    '[objective]\nkind = "layers"\nlayers = { block4 = 1.0 }': "7027dc740d8c9781",
    '[objective]\nkind = "channels"\nlayer = "block4"\nchannels = [1]': "d045ce57bee6d300",
    '[objective]\nkind = "classes"\nclasses = ["tabby"]': "ce0bf9ccc1ef18ec",
    '[objective]\nkind = "guide"\nlayers = { block4 = 1.0 }\nreference = "house/x.png"': "56b3ca401734132e",
    '[objective]\nkind = "style"\nlayers = { block4 = 1.0 }\nreference = "house/x.png"': "7aa1b960d8728de9",
    '[objective]\nkind = "palette"\nartist = "Paul Klee"': "b474791de6d7b9f8",
    '[objective]\nkind = "grain"\nartist = "Paul Klee"': "5fae21e9f73dbc2e",
    '[objective]\nkind = "content"\nlayers = { block4 = 1.0 }': "a8116f69046eb1a2",
    '[objective]\nkind = "variation"': "7ad329ba8986c86e",
    '[mask]\nkind = "ellipse"': "f37723b02b0df614",
    '[mask]\nkind = "stencil"\nreference = "masks/x.png"': "b2f73d023a5b397c",
    '[mask]\nkind = "people"': "5211f1da45cfe20b",
    '[mask]\nkind = "background"': "88f258e9b77ab446",
    "[ascent]\nsteps = 3": "771c1d133216348c",
}


@pytest.mark.parametrize("part", PINNED_DIGESTS)
def test_jobs_of_earlier_versions_keep_their_ids(part: str) -> None:
    """If this fails, a new field is missing in `later_fields`: all photos would be dreamt again."""
    head = VALID_RECIPE[: VALID_RECIPE.index("[objective]")]
    layers = "" if part.startswith("[objective]") else VALID_RECIPE[VALID_RECIPE.index("[objective]") :]
    assert parse_recipe(f"{head}{part}\n{layers}", source="").digest == PINNED_DIGESTS[part]


def test_every_kind_of_term_and_mask_has_a_pinned_digest() -> None:
    kinds = {match[1] for part in PINNED_DIGESTS if (match := re.search('kind = "(.*?)"', part))}
    masks = {"ellipse", "stencil", "people", "background"}
    assert kinds - masks == {kind for term in TERM_TYPES for kind in get_args(term.model_fields["kind"].annotation)}
    assert masks <= kinds


@pytest.mark.parametrize("kind", ["people", "background"])
def test_a_mask_of_people_may_be_one_word(kind: str) -> None:
    word, table = (
        parse_recipe(VALID_RECIPE.replace("[objective]", f"{mask}\n[objective]"), source="")
        for mask in (f"[mask]\nkind = '{kind}'", f"[mask]\nkind = '{kind}'\nfeather = 0.006")
    )
    one_word = parse_recipe(f"mask = '{kind}'\n{VALID_RECIPE}", source="")
    assert one_word == word == table
    assert one_word.digest == table.digest
    assert Recipe.model_validate_json(one_word.model_dump_json()) == one_word


BUNDLED_NETWORKS = ("lite", PAINTING_NETWORK)


def test_a_recipe_that_needs_other_weights_names_one_that_does_not() -> None:
    for name in list_recipe_names():
        recipe = load_recipe(name)
        if recipe.network not in BUNDLED_NETWORKS:
            assert recipe.stand_in
            assert load_recipe(recipe.stand_in).network in BUNDLED_NETWORKS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[objective]", "[ascent]\nsteps = 1000000000\n[objective]"), "“ascent.steps”"),
        (("[objective]", "[ascent]\noctaves = 13\n[objective]"), "“ascent.octaves”"),
        (("[objective]", "[ascent]\nstep = inf\n[objective]"), "“ascent.step”"),
        (("[objective]", "[ascent]\noctave_scale = nan\n[objective]"), "“ascent.octave_scale”"),
        (("[objective]", "[ascent]\ndecay = nan\n[objective]"), "“ascent.decay”"),
        (("[objective]", "[mask]\nkind = 'ellipse'\nwidth = nan\n[objective]"), "“mask.width”"),
        (("[objective]", "[mask]\nkind = 'people'\nfether = 1\n[objective]"), "“mask.fether”.*Did you mean feather"),
        (("version", "mask = 'peple'\nversion"), "“mask”.*'people', 'background'"),
        (("version = 1", "version = 1\ncanvas = 1000000"), "“canvas”"),
        (("version = 1", "version = 1" + "0" * 30), "“version”"),
        (("version = 1", "version = " + "9" * 10_000), "is not valid TOML"),
        (("version = 1", "x = " + "[" * 5000), "is not valid TOML: it is nested too deeply"),
        (("version = 1", "version = 1 #" + "x" * 60_000), "is too long"),
        (("version = 1", "version = 1\nnetwork = '" + "x" * 600 + "'"), "“network”"),
        (("block8 = 1.0", "block8 = nan"), "block8"),
        (("block8 = 1.0", "block8 = inf"), "block8"),
        (("block8 = 1.0", ", ".join(f"a{n} = 1" for n in range(600))), "“objective.0.layers”"),
        (('kind = "layers"', 'kind = "layers"\nweight = inf'), "“objective.0.weight”"),
        (('kind = "layers"', 'kind = "os.system"'), "“objective.0”"),
        (("version = 1", "version = 1\n__class__ = 'os.system'"), "there is no such field"),
        (("version = 1", "version = 1\nimport = 'os'"), "there is no such field"),
        (('kind = "layers"\nlayers = { block8 = 1.0 }', 'kind="channels"\nlayer="a"\nchannels=[1e30]'), "channels"),
        (
            ('kind = "layers"\nlayers = { block8 = 1.0 }', 'kind="channels"\nlayer="a"\nchannels=[4000000]'),
            "channels",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else value[1][:40],
)
def test_a_recipe_names_no_code_and_no_number_that_is_absurd(change: tuple[str, str], message: str) -> None:
    """Fails without the limits on sizes, and if an error of the TOML parser is not caught."""
    assert change[0] in VALID_RECIPE
    with pytest.raises(ArtDreamError, match=message) as raised:
        parse_recipe(VALID_RECIPE.replace(*change), source="mine.toml")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500
