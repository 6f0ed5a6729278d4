"""The stopwatch: how long each stage of a job took, told once, when it is over."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared.jobs.events import Stage, Stages
from shared.monitoring import metrics

logger = logging.getLogger(__name__)


@dataclass
class StageTimer:
    """A stage that is being measured."""

    #: Seconds in the midst of it that were another job's.
    excluded_seconds: float = 0.0


@contextmanager
def time_stage(job_id: str, stages: Stages, stage: Stage) -> Iterator[StageTimer]:
    """Measure a stage, add it to the job's and tell it; a stage that fails is not over."""
    started, lap = time.perf_counter(), StageTimer()
    yield lap
    stages[stage] = time.perf_counter() - started - lap.excluded_seconds
    record_stage(job_id, stage, stages[stage])


def record_stage(job_id: str, stage: str, seconds: float) -> None:
    """Tell how long a stage took, to the log and to Prometheus."""
    metrics.observe_stage(str(stage), seconds)
    about = {"job": job_id, "stage": str(stage), "seconds": round(seconds, 4)}
    logger.info("job %s: %s took %.3f s", job_id, stage, seconds, extra=about)
