"""The networks that can dream, by name."""

import difflib
from collections.abc import Callable
from functools import cache

from shared.errors import ArtDreamError
from worker.networks.lite import load_lite
from worker.networks.network import Network

LOADERS: dict[str, Callable[[], Network]] = {"lite": load_lite}


@cache
def load_network(name: str) -> Network:
    """Load a network once in a process. Raises ArtDreamError for an unknown name, naming near ones."""
    if name not in LOADERS:
        near = difflib.get_close_matches(name, LOADERS, n=3, cutoff=0.4) or LOADERS
        raise ArtDreamError(f"There is no network “{name}”. Did you mean {', '.join(near)}?")
    return LOADERS[name]()
