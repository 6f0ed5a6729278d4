"""The evening: when photos come, and how long each is dreamt."""

import random
from dataclasses import dataclass

from shared.jobs.job import Lane

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Arrival:
    """A job that comes into its lane."""

    #: Seconds since the doors opened.
    arrives_at: float
    lane: Lane
    #: How long a worker dreams it.
    dream_seconds: float


@dataclass(frozen=True)
class Evening:
    """From 18:00 to 02:00: some guests all the time, many at once when the speech is over, a batch at midnight."""

    #: Seconds from opening to closing.
    length_seconds: float = 8 * SECONDS_PER_HOUR
    #: Guests' photos in an hour, at random.
    guests_per_hour: float = 120
    #: Guests' photos at once, within how many seconds, and between which times it begins.
    burst_size: int = 200
    burst_seconds: float = 300
    burst_start_range: tuple[float, float] = (2.5 * SECONDS_PER_HOUR, 3.5 * SECONDS_PER_HOUR)
    #: Photos of the batch, when it is sent, and how many are submitted in a second (docs/benchmarks.md).
    batch_size: int = 10_000
    batch_start: float = 6 * SECONDS_PER_HOUR
    batch_submits_per_second: float = 478
    #: Seconds of a dream on a GPU: what the original took.
    dream_seconds: float = 2.5
    #: The same of the batch, where it is another.
    batch_dream_seconds: float | None = None

    def draw_arrivals(self, rng: random.Random) -> list[Arrival]:
        """Draw one such evening, in order of time."""
        times, at = list[float](), 0.0
        while (
            self.guests_per_hour
            and (at := at + rng.expovariate(self.guests_per_hour / SECONDS_PER_HOUR)) < self.length_seconds
        ):
            times.append(at)
        begins = rng.uniform(*self.burst_start_range)
        times += [begins + rng.uniform(0, self.burst_seconds) for _ in range(self.burst_size)]
        live = [Arrival(at, Lane.LIVE, self.dream_seconds) for at in times]
        seconds = self.dream_seconds if self.batch_dream_seconds is None else self.batch_dream_seconds
        sent = (self.batch_start + number / self.batch_submits_per_second for number in range(self.batch_size))
        return sorted([*live, *(Arrival(at, Lane.BATCH, seconds) for at in sent)], key=lambda one: one.arrives_at)
