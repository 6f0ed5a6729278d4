"""The estimated waiting time that guests read: as accurate as promised, and absent while nothing is known."""

import heapq
import random

import pytest

from display.state.eta import MAX_DURATIONS, WORKER_GONE_AFTER_SECONDS, Eta


def simulate_queue(seed: int, workers: int) -> list[float]:
    """Simulate a queue; return the relative error of each estimate, made when a photo arrives."""
    generator = random.Random(seed)
    eta, errors = Eta(), []
    arrivals: list[float] = []
    while len(arrivals) < 300:  # single photos, and now and then a burst
        burst_start = (arrivals[-1] if arrivals else 0.0) + generator.expovariate(workers / 8)
        arrivals += [burst_start + 0.2 * n for n in range(generator.choice([1, 1, 1, 2, 6]))]
    arrivals.sort()
    free_workers = [(0.0, f"w{number}") for number in range(workers)]
    heapq.heapify(free_workers)
    schedule = []  # (start, end, worker) of each photo, first come first served
    for arrival in arrivals:
        free_at, worker = heapq.heappop(free_workers)
        started_at = max(free_at, arrival)
        ended_at = started_at + generator.gauss(2.5, 0.25)
        heapq.heappush(free_workers, (ended_at, worker))
        schedule.append((started_at, ended_at, worker))
    changes = sorted(
        [(arrival, 2, number) for number, arrival in enumerate(arrivals)]
        + [(started_at, 1, number) for number, (started_at, _, _) in enumerate(schedule)]
        + [(ended_at, 0, number) for number, (_, ended_at, _) in enumerate(schedule)]
    )
    for now, kind, number in changes:
        started_at, ended_at, worker = schedule[number]
        if kind == 0:
            eta.record_end(str(number), now, is_completed=True)
        elif kind == 1:
            eta.record_start(str(number), worker, now)
        elif started_at > now:
            photos_ahead = sum(arrivals[other] <= now < schedule[other][0] for other in range(number))
            estimate = eta.estimate_seconds(photos_ahead + 1, now)
            if estimate is not None and number > MAX_DURATIONS:
                errors.append(abs(estimate - (ended_at - now)) / (ended_at - now))
    return errors


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_in_nine_of_ten_cases_the_forecast_is_right_within_30_percent(workers: int) -> None:
    errors = sorted(error for seed in range(5) for error in simulate_queue(seed, workers))
    assert len(errors) > 100
    assert errors[int(0.9 * len(errors))] <= 0.3


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_a_forecast_is_what_a_queue_would_do(workers: int) -> None:
    generator = random.Random(workers)
    for _ in range(50):
        eta = Eta()
        eta.record_start("first", "w0", 0)
        eta.record_end("first", duration := generator.uniform(1, 5), is_completed=True)
        now, free_at = duration + 1, []
        for number in range(workers):
            started_at = now - generator.uniform(0, 2 * duration)
            eta.record_start(str(number), f"w{number}", started_at)
            free_at.append(max(0.0, started_at + duration - now))
        heapq.heapify(free_at)
        for waiting in range(1, 30):
            heapq.heappush(free_at, expected := heapq.heappop(free_at) + duration)
            assert eta.estimate_seconds(waiting, now) == pytest.approx(expected)
        assert eta.estimate_seconds(0, now) == 0


def test_before_the_first_dream_nothing_is_promised() -> None:
    eta = Eta()
    eta.record_start("a", "w", 0)
    assert eta.estimate_seconds(1, 1) is None
    eta.record_end("a", 4, is_completed=False)
    assert eta.estimate_seconds(1, 5) is None


def test_a_worker_that_was_not_heard_of_for_long_is_not_counted_on() -> None:
    eta = Eta()
    for worker in ("w1", "w2"):
        eta.record_start(worker, worker, 0)
        eta.record_end(worker, 2, is_completed=True)
    assert eta.estimate_seconds(2, 3) == 2
    eta.record_start("c", "w1", WORKER_GONE_AFTER_SECONDS)
    eta.record_end("c", WORKER_GONE_AFTER_SECONDS + 2, is_completed=True)
    assert eta.estimate_seconds(2, WORKER_GONE_AFTER_SECONDS + 3) == 4
