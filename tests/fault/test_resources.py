"""The slopes of a soak: what grows with the jobs is told from what only varies."""

import os
import random

import psutil
import pytest

from tests.fault.resources import BLOCKS, BOUNDS, ResourceMonitor, compute_slope

JOBS = [float(number) for number in range(240)]


def make_values(per_thousand: float, noise: float = 3.0) -> list[float]:
    """Return values around 100 that grow by an amount for 1,000 jobs."""
    rng = random.Random(0)
    return [100 + per_thousand * jobs / 1000 + rng.gauss(0, noise) for jobs in JOBS]


@pytest.mark.parametrize(("per_thousand", "is_constant"), [(0, True), (BOUNDS["RSS, MB"] + 30, False)])
def test_what_grows_is_told_from_what_varies(per_thousand: float, is_constant: bool) -> None:
    slope = compute_slope("worker", "RSS, MB", JOBS, make_values(per_thousand))
    assert slope.is_constant == is_constant
    assert slope.low < per_thousand < slope.high


def test_a_slope_below_its_bound_is_no_growth_however_sure_it_is() -> None:
    slope = compute_slope("display", "RSS, MB", JOBS, make_values(BOUNDS["RSS, MB"] / 2, noise=0.01))
    assert slope.low > 0
    assert slope.is_constant


def test_what_never_changes_has_no_slope() -> None:
    slope = compute_slope("worker", "threads", JOBS, [7.0] * len(JOBS))
    assert (slope.slope, slope.low, slope.high, slope.is_constant) == (0, 0, 0, True)


def test_a_process_that_does_not_live_from_the_warm_up_to_the_end_has_no_slope() -> None:
    processes = {"this": psutil.Process(os.getpid()), "gone": psutil.Process(os.getpid())}
    monitor = ResourceMonitor(lambda: processes)
    for number in range(BLOCKS):
        if number == 1:
            del processes["gone"]
        monitor.sample(number, {("broker", "keys"): float(number)})
    assert {slope.name for slope in monitor.compute_slopes(0)} == {"this", "broker"}
