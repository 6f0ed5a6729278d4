"""Candidate: the check of a recipe file before guests' photos get it as the next version of a recipe."""

from collections.abc import Mapping

from shared.errors import ArtDreamError
from shared.recipe.canary import MAX_CANDIDATE_VERSION, MAX_COMPARED_CHARACTERS, Canary
from shared.recipe.painters import PAINTING_NETWORK
from shared.recipe.recipe import Recipe, load_recipe, parse_recipe
from shared.runtime_settings import RuntimeSettings
from shared.settings import Settings
from shared.storage.object_names import NETWORKS_PREFIX, is_object_name
from shared.storage.store import Store

#: Networks that come with every worker.
_BUNDLED_NETWORKS = {"lite", PAINTING_NETWORK}


def load_guest_recipes(settings: Settings, runtime_settings: RuntimeSettings) -> dict[str, Recipe]:
    """Return the recipes that guests' photos can get, by name; without those that this machine cannot load."""
    names = [*(runtime_settings.recipes or settings.recipes)]
    if settings.send:
        names += settings.guest_recipes
    recipes = {}
    for name in names:
        try:
            recipe = load_recipe(name)
        except ArtDreamError:  # a file of a producer's
            continue
        recipes[recipe.name] = recipe
    return recipes


def parse_candidate(text: str, guest_recipes: Mapping[str, Recipe], previous: Canary | None, store: Store) -> Recipe:
    """Return the recipe in a file if it can be a candidate. Raises ArtDreamError, and StoreError.

    guest_recipes: by name. previous: the canary before this one.
    """
    candidate = parse_recipe(text, source="of the candidate")
    current = guest_recipes.get(candidate.name)
    title = f"Version {candidate.version} of “{candidate.name}”"
    if current is None:
        raise ArtDreamError(
            f"No guest gets a recipe “{candidate.name}” now: choose it under Recipes first, or give the file the name "
            f"of one that guests get: {', '.join(sorted(guest_recipes))}."
        )
    if not current.version < candidate.version <= MAX_CANDIDATE_VERSION:
        raise ArtDreamError(
            f"{title} is no next version: give the file one from {current.version + 1} to {MAX_CANDIDATE_VERSION}."
        )
    if previous and _are_confusable(previous.candidate, candidate):
        raise ArtDreamError(
            f"{title} was compared before, with other parameters: give the file a higher version, so that its numbers "
            "stay apart."
        )
    if len(candidate.model_dump_json()) > MAX_COMPARED_CHARACTERS:
        raise ArtDreamError(f"{title} is too long: a candidate has at most {MAX_COMPARED_CHARACTERS} characters.")
    known_networks = _BUNDLED_NETWORKS | {recipe.network for recipe in guest_recipes.values()}
    if candidate.network not in known_networks and not _has_network(store, candidate.network):
        raise ArtDreamError(
            f"{title} needs the network “{candidate.network}”, which workers may not have: put it into the store, or "
            f"use one of {', '.join(sorted(known_networks))}."
        )
    return candidate


def _are_confusable(previous: Recipe, candidate: Recipe) -> bool:
    is_same_version = (previous.name, previous.version) == (candidate.name, candidate.version)
    return is_same_version and previous.digest != candidate.digest


def _has_network(store: Store, network: str) -> bool:
    name = f"{NETWORKS_PREFIX}{network.removeprefix('artist/')}/network.json"
    return network.startswith("artist/") and is_object_name(name) and store.exists(name)
