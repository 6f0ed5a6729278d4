"""Time candidates in turns, so that a noisy minute affects all of them; the best run of each counts."""

import time
from collections.abc import Callable, Mapping


def measure_seconds(action: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    started_at = time.perf_counter()
    action()
    return time.perf_counter() - started_at


def measure_best(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the shortest time of each candidate in seconds, after one warm-up run of each."""
    for action in candidates.values():
        action()
    rounds_seconds = [{name: measure_seconds(action) for name, action in candidates.items()} for _ in range(rounds)]
    return {name: min(seconds[name] for seconds in rounds_seconds) for name in candidates}
