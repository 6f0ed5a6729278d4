"""Values inside values: what a test changes in a table of TOML or an object of JSON."""

import math
from collections.abc import Iterator
from typing import Any


def iter_places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every dictionary and list in `part`, itself included, with each of its keys or indices."""
    if isinstance(part, dict | list):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            yield part, key
            yield from iter_places(value)


def iter_infinities(part: Any) -> Iterator[Any]:
    """Yield `part` once for each floating-point number in it, which is infinite meanwhile."""
    for place, key in iter_places(part):
        number = place[key]
        if isinstance(number, float):
            place[key] = math.inf
            yield part
            place[key] = number
