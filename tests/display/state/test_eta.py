"""A guest is told how long it takes, and it does take about that long."""

import heapq
import random

import pytest

from display.state.eta import MAX_DURATIONS, WORKER_GONE_AFTER_SECONDS, Eta


def simulate_queue(seed: int, workers: int) -> list[float]:
    """Simulate a queue; return the relative error of each forecast, made when a photo arrives."""
    chance = random.Random(seed)
    forecast, errors = Eta(), []
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
            forecast.record_end(str(number), now, is_completed=True)
        elif kind == 1:
            forecast.record_start(str(number), worker, now)
        elif begins > now:
            ahead = sum(arrivals[other] <= now < planned[other][0] for other in range(number))
            told = forecast.estimate_seconds(ahead + 1, now)
            if told is not None and number > MAX_DURATIONS:
                errors.append(abs(told - (ends - now)) / (ends - now))
    return errors


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_in_nine_of_ten_cases_the_forecast_is_right_within_30_percent(workers: int) -> None:
    errors = sorted(error for seed in range(5) for error in simulate_queue(seed, workers))
    assert len(errors) > 100
    assert errors[int(0.9 * len(errors))] <= 0.3


def test_before_the_first_dream_nothing_is_promised() -> None:
    forecast = Eta()
    forecast.record_start("a", "w", 0)
    assert forecast.estimate_seconds(1, 1) is None
    forecast.record_end("a", 4, is_completed=False)
    assert forecast.estimate_seconds(1, 5) is None


def test_a_worker_that_was_not_heard_of_for_long_is_not_counted_on() -> None:
    forecast = Eta()
    for worker in ("w1", "w2"):
        forecast.record_start(worker, worker, 0)
        forecast.record_end(worker, 2, is_completed=True)
    assert forecast.estimate_seconds(2, 3) == 2
    forecast.record_start("c", "w1", WORKER_GONE_AFTER_SECONDS)
    forecast.record_end("c", WORKER_GONE_AFTER_SECONDS + 2, is_completed=True)
    assert forecast.estimate_seconds(2, WORKER_GONE_AFTER_SECONDS + 3) == 4
