"""A recipe file becomes a candidate only if guests' photos can be dreamt with it; else one sentence says why not."""

import pytest

from display.candidate import load_guest_recipes, parse_candidate
from shared.errors import ArtDreamError
from shared.recipe.canary import MAX_CANDIDATE_VERSION, Canary
from shared.recipe.recipe import parse_recipe
from shared.runtime_settings import RuntimeSettings
from shared.settings import Settings
from shared.storage.store import Store

CANDIDATE = """
name = "night"
version = 2
title = "Starry night"
description = "Brighter."
network = "lite"
[objective]
kind = "layers"
layers = { block8 = 1.0 }
"""


def parse(text: str, store: Store, previous: Canary | None = None) -> str:
    """Return the version and name of a candidate, or why it is refused."""
    settings = Settings()
    guest_recipes = load_guest_recipes(settings, RuntimeSettings(recipes=("night", "gone.toml")))
    try:
        candidate = parse_candidate(text, guest_recipes, previous, store)
    except ArtDreamError as error:
        return str(error)
    return f"{candidate.version} {candidate.name}"


def test_a_next_version_of_a_recipe_that_guests_get_is_a_candidate(store: Store) -> None:
    assert parse(CANDIDATE, store) == "2 night"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "night"', 'name = "nights"', "No guest gets a recipe “nights” now"),
        ("version = 2", "version = 1", f"is no next version: give the file one from 2 to {MAX_CANDIDATE_VERSION}"),
        ("version = 2", "version = 999999999", "is no next version"),
        ("version = 2", "version = two", "is not valid TOML"),
        ("[objective]", "steps = 3\n[objective]", "field “steps”: there is no such field"),
        ('"lite"', '"vgg19"', "Version 2 of “night” needs the network “vgg19”, which workers may not have"),
        ('"lite"', '"/srv/mine.keras"', "which workers may not have"),
        ('"lite"', '"artist/../../x"', "which workers may not have"),
        ('"lite"', '"artist/mine"', "which workers may not have"),
        ("block8 = 1.0", ", ".join(f"{'l' * 90}{n} = 1.0" for n in range(450)), "Version 2 of “night” is too long"),
    ],
)
def test_what_guests_could_not_be_given_is_refused_in_one_sentence(
    store: Store, old: str, new: str, reason: str
) -> None:
    answer = parse(CANDIDATE.replace(old, new, 1), store)
    assert reason in answer
    assert "\n" not in answer


def test_a_network_that_the_installation_has_trained_may_be_used(store: Store) -> None:
    store.put("networks/mine/network.json", b"{}")
    assert parse(CANDIDATE.replace("lite", "artist/mine"), store) == "2 night"


def test_numbers_of_two_recipes_are_never_mixed_under_one_version(store: Store) -> None:
    previous = Canary(candidate=parse_recipe(CANDIDATE, source=""), percent=0)
    assert parse(CANDIDATE, store, previous) == "2 night"
    changed = CANDIDATE.replace("block8", "block10")
    assert "Version 2 of “night” was compared before, with other parameters" in parse(changed, store, previous)
    assert parse(changed.replace("version = 2", "version = 3"), store, previous) == "3 night"
