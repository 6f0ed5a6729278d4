"""Shell completion of names. Completion never fails and never waits for another machine."""

from contextlib import suppress

from shared.errors import ArtDreamError
from shared.recipe.painters import painters_by_recipe
from shared.recipe.recipe import list_recipe_names
from shared.settings import Settings
from shared.storage.store import Store


def complete_recipe(incomplete: str) -> list[str]:
    """Return the recipes whose names begin so; after a comma, that of the last one."""
    earlier, comma, last = incomplete.rpartition(",")
    names = (*list_recipe_names(), *painters_by_recipe())
    return [earlier + comma + name for name in names if name.startswith(last)]


def complete_network(incomplete: str) -> list[str]:
    """Return the networks whose names begin so: those that come with ArtDream, and those in a store on this disk."""
    with suppress(ArtDreamError, ImportError):  # without the extra `worker` there are no networks
        from worker.networks.catalogue import list_networks

        settings = Settings.read()
        store = Store(settings.store) if settings.store_url is None and settings.data.exists() else None
        networks = list_networks(settings.weights.expanduser(), store)
        return [network.name for network in networks if network.name.startswith(incomplete)]
    return []
