"""What processes, broker and disk use over time, and whether it grows with the jobs."""

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import psutil
from scipy.stats import theilslopes

#: Samples are averaged in so many blocks of equal length, as neighbouring samples are not independent.
BLOCKS = 24

#: Confidence of the interval of a slope.
CONFIDENCE = 0.95

#: A quantity → the slope, in its unit per 1,000 jobs, below which it counts as constant:
#: - RSS: the display knows each dream, at some kB.
#: - the broker's memory: it knows each job for a week, and the last 50,000 events, a hundred of which a dream may have.
#: - threads, open files: pools have as many as were ever needed at once. What one job in a hundred leaves is more.
#: - the broker's keys: one for each job, for a week.
BOUNDS = {
    "RSS, MB": 5.0,
    "threads": 8.0,
    "open files": 8.0,
    "keys": 1010.0,
    "memory, MB": 16.0,
    "broker RSS, MB": 16.0,
    "files": 1.0,
}


@dataclass(frozen=True)
class Slope:
    """How a quantity grows for 1,000 jobs, with the interval of CONFIDENCE."""

    name: str
    quantity: str
    first: float
    last: float
    slope: float
    low: float
    high: float

    @property
    def bound(self) -> float:
        """The slope below which the quantity counts as constant."""
        return BOUNDS.get(f"{self.name} {self.quantity}", BOUNDS[self.quantity])

    @property
    def is_constant(self) -> bool:
        """Whether the interval contains 0, or the slope is below its bound."""
        return self.low <= 0 <= self.high or self.slope < self.bound


def compute_slope(name: str, quantity: str, jobs: Sequence[float], values: Sequence[float]) -> Slope:
    """Return the slope of a quantity over the number of jobs: the median of all slopes between two blocks.

    jobs, values: the number of ended jobs and the quantity, sample by sample; at least as many as BLOCKS.
    """
    count = len(values)
    blocks = [range(index * count // BLOCKS, (index + 1) * count // BLOCKS) for index in range(BLOCKS)]
    thousands = [fmean(jobs[i] for i in block) / 1000 for block in blocks]
    means = [fmean(values[i] for i in block) for block in blocks]
    # Without any change there is no interval.
    slope, low, high = (
        (0, 0, 0) if len(set(means)) == 1 else operator.itemgetter(0, 2, 3)(theilslopes(means, thousands, CONFIDENCE))
    )
    return Slope(name, quantity, means[0], means[-1], float(slope), float(low), float(high))


class ResourceMonitor:
    """Samples of named processes and of other quantities."""

    def __init__(self, list_processes: Callable[[], dict[str, psutil.Process]]) -> None:
        """list_processes: returns the processes by name; one that is gone or new later is left out of the slopes."""
        self._list_processes = list_processes
        self._started = time.monotonic()
        #: Seconds since the start, number of ended jobs, and value of each (name, quantity).
        self.samples: list[tuple[float, int, dict[tuple[str, str], float]]] = []

    def sample(self, jobs: int, others: dict[tuple[str, str], float]) -> None:
        """Take a sample. jobs: number of ended jobs. others: further values by name and quantity."""
        values = dict(others)
        for name, process in self._list_processes().items():
            try:
                with process.oneshot():
                    usage = {
                        "RSS, MB": process.memory_info().rss / 1e6,
                        "threads": float(process.num_threads()),
                        "open files": float(process.num_fds()),
                    }
            except psutil.Error:  # it has just ended
                continue
            values |= {(name, quantity): value for quantity, value in usage.items()}
        self.samples.append((time.monotonic() - self._started, jobs, values))

    def compute_slopes(self, warm_up_seconds: float) -> list[Slope]:
        """Return the slopes of all that was there in each sample after the warm-up."""
        samples = [sample for sample in self.samples if sample[0] >= warm_up_seconds]
        jobs = [float(count) for _, count, _ in samples]
        keys = [key for key in samples[-1][2] if all(key in values for _, _, values in samples)]
        return [compute_slope(*key, jobs, [values[key] for _, _, values in samples]) for key in keys]
