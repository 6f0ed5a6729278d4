"""The evening: when photos come, and how long each is dreamt."""

import random
from dataclasses import dataclass

from shared.jobs.job import Lane

HOUR = 3600.0


@dataclass(frozen=True)
class Arrival:
    """A job that comes into its lane."""

    #: Seconds since the doors opened.
    at: float
    lane: Lane
    #: How long a worker dreams it.
    seconds: float


@dataclass(frozen=True)
class Evening:
    """From 18:00 to 02:00: some guests all the time, many at once when the speech is over, a batch at midnight."""

    #: Seconds from opening to closing.
    length: float = 8 * HOUR
    #: Guests' photos in an hour, at random.
    quiet: float = 120
    #: Guests' photos at once, within how many seconds, and between which times it begins.
    burst: int = 200
    burst_lasts: float = 300
    burst_begins: tuple[float, float] = (2.5 * HOUR, 3.5 * HOUR)
    #: Photos of the batch, when it is sent, and how many are submitted in a second (docs/benchmarks.md).
    batch: int = 10_000
    batch_begins: float = 6 * HOUR
    batch_rate: float = 478
    #: Seconds of a dream on a GPU: what the original took.
    dream: float = 2.5
    #: The same of the batch, where it is another.
    batch_dream: float | None = None

    def arrivals(self, dice: random.Random) -> list[Arrival]:
        """Draw one such evening, in order of time."""
        times, at = list[float](), 0.0
        while self.quiet and (at := at + dice.expovariate(self.quiet / HOUR)) < self.length:
            times.append(at)
        begins = dice.uniform(*self.burst_begins)
        times += [begins + dice.uniform(0, self.burst_lasts) for _ in range(self.burst)]
        live = [Arrival(at, Lane.LIVE, self.dream) for at in times]
        seconds = self.dream if self.batch_dream is None else self.batch_dream
        sent = (self.batch_begins + number / self.batch_rate for number in range(self.batch))
        return sorted([*live, *(Arrival(at, Lane.BATCH, seconds) for at in sent)], key=lambda one: one.at)
