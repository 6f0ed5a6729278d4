"""The simulated evening: arrival time and rendering time of each photo."""

import random
from dataclasses import dataclass

from shared.jobs.job import Lane

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Arrival:
    """A job that arrives in its lane."""

    #: Seconds since opening.
    arrives_at: float
    lane: Lane
    #: Seconds that a worker needs for it.
    dream_seconds: float


@dataclass(frozen=True)
class Evening:
    """From 18:00 to 02:00: some guests all the time, a burst after the speech, a batch at midnight."""

    #: Seconds from opening to closing.
    length_seconds: float = 8 * SECONDS_PER_HOUR
    #: Guests' photos per hour, at random times.
    guests_per_hour: float = 120
    #: Photos of the burst, its duration in seconds, and the earliest and latest start.
    burst_size: int = 200
    burst_seconds: float = 300
    burst_start_range: tuple[float, float] = (2.5 * SECONDS_PER_HOUR, 3.5 * SECONDS_PER_HOUR)
    #: Photos of the batch, the time it is sent, and the submission rate per second (docs/benchmarks.md).
    batch_size: int = 10_000
    batch_start: float = 6 * SECONDS_PER_HOUR
    batch_submits_per_second: float = 808
    #: Seconds of a dream on a GPU: measured with the original pipeline.
    dream_seconds: float = 2.5
    #: Seconds of a dream of the batch; None: the same.
    batch_dream_seconds: float | None = None

    def draw_arrivals(self, rng: random.Random) -> list[Arrival]:
        """Draw the arrivals of one evening, in order of time."""
        times, arrives_at = list[float](), 0.0
        while (
            self.guests_per_hour
            and (arrives_at := arrives_at + rng.expovariate(self.guests_per_hour / SECONDS_PER_HOUR))
            < self.length_seconds
        ):
            times.append(arrives_at)
        burst_start = rng.uniform(*self.burst_start_range)
        times += [burst_start + rng.uniform(0, self.burst_seconds) for _ in range(self.burst_size)]
        live = [Arrival(arrives_at, Lane.LIVE, self.dream_seconds) for arrives_at in times]
        seconds = self.dream_seconds if self.batch_dream_seconds is None else self.batch_dream_seconds
        batch_times = (self.batch_start + number / self.batch_submits_per_second for number in range(self.batch_size))
        return sorted(
            [*live, *(Arrival(arrives_at, Lane.BATCH, seconds) for arrives_at in batch_times)],
            key=lambda arrival: arrival.arrives_at,
        )
