"""How benchmarks take time: candidates take turns, so that a noisy minute hits all of them, and the best run counts."""

import time
from collections.abc import Callable, Mapping


def measure_seconds(action: Callable[[], object]) -> float:
    """Return how long some work takes, once."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def measure_best(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least seconds that each candidate took, run in turns after one run of each that does not count."""
    for work in candidates.values():
        work()
    taken = [{name: measure_seconds(work) for name, work in candidates.items()} for _ in range(rounds)]
    return {name: min(one[name] for one in taken) for name in candidates}
