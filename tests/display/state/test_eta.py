"""A guest is told how long it takes, and it does take about that long."""

import heapq
import random

import pytest

from display.state.eta import GONE, REMEMBERED, Forecast


def evening(seed: int, workers: int) -> list[float]:
    """Simulate a queue; return the relative error of each forecast, made when a photo arrives."""
    chance = random.Random(seed)
    forecast, errors = Forecast(), []
    arrivals: list[float] = []
    while len(arrivals) < 300:  # single photos, and now and then a burst
        start = (arrivals[-1] if arrivals else 0.0) + chance.expovariate(workers / 8)
        arrivals += [start + 0.2 * n for n in range(chance.choice([1, 1, 1, 2, 6]))]
    arrivals.sort()
    free = [(0.0, f"w{number}") for number in range(workers)]
    heapq.heapify(free)
    planned = []  # (begins, ends, worker) of each photo, first come first served
    for arrival in arrivals:
        at, worker = heapq.heappop(free)
        begins = max(at, arrival)
        ends = begins + chance.gauss(2.5, 0.25)
        heapq.heappush(free, (ends, worker))
        planned.append((begins, ends, worker))
    happenings = sorted(
        [(arrival, 2, number) for number, arrival in enumerate(arrivals)]
        + [(begins, 1, number) for number, (begins, _, _) in enumerate(planned)]
        + [(ends, 0, number) for number, (_, ends, _) in enumerate(planned)]
    )
    for now, kind, number in happenings:
        begins, ends, worker = planned[number]
        if kind == 0:
            forecast.end(str(number), now, dreamt=True)
        elif kind == 1:
            forecast.start(str(number), worker, now)
        elif begins > now:
            ahead = sum(arrivals[other] <= now < planned[other][0] for other in range(number))
            told = forecast.seconds(ahead + 1, now)
            if told is not None and number > REMEMBERED:
                errors.append(abs(told - (ends - now)) / (ends - now))
    return errors


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_in_nine_of_ten_cases_the_forecast_is_right_within_30_percent(workers: int) -> None:
    errors = sorted(error for seed in range(5) for error in evening(seed, workers))
    assert len(errors) > 100
    assert errors[int(0.9 * len(errors))] <= 0.3


def test_before_the_first_dream_nothing_is_promised() -> None:
    forecast = Forecast()
    forecast.start("a", "w", 0)
    assert forecast.seconds(1, 1) is None
    forecast.end("a", 4, dreamt=False)
    assert forecast.seconds(1, 5) is None


def test_a_worker_that_was_not_heard_of_for_long_is_not_counted_on() -> None:
    forecast = Forecast()
    for worker in ("w1", "w2"):
        forecast.start(worker, worker, 0)
        forecast.end(worker, 2, dreamt=True)
    assert forecast.seconds(2, 3) == 2
    forecast.start("c", "w1", GONE)
    forecast.end("c", GONE + 2, dreamt=True)
    assert forecast.seconds(2, GONE + 3) == 4
