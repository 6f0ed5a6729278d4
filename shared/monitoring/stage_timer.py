"""The stopwatch: how long each stage of a job took, told once, when it is over."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared.jobs.events import Stage, Stages
from shared.monitoring import metrics

log = logging.getLogger(__name__)


@dataclass
class Lap:
    """A stage that is being measured."""

    #: Seconds in the midst of it that were another job's.
    aside: float = 0.0


@contextmanager
def timed(job_id: str, stages: Stages, stage: Stage) -> Iterator[Lap]:
    """Measure a stage, add it to the job's and tell it; a stage that fails is not over."""
    started, lap = time.perf_counter(), Lap()
    yield lap
    stages[stage] = time.perf_counter() - started - lap.aside
    tell(job_id, stage, stages[stage])


def tell(job_id: str, stage: str, seconds: float) -> None:
    """Tell how long a stage took, to the log and to Prometheus."""
    metrics.stage(str(stage), seconds)
    about = {"job": job_id, "stage": str(stage), "seconds": round(seconds, 4)}
    log.info("job %s: %s took %.3f s", job_id, stage, seconds, extra=about)
