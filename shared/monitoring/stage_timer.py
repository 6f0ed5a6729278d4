"""Stage timer: measure each stage of a job, and report its duration once, when it has ended."""

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
    """A running measurement of a stage."""

    #: Seconds of the stage that were spent on another job.
    excluded_seconds: float = 0.0


@contextmanager
def time_stage(job_id: str, stages: Stages, stage: Stage) -> Iterator[StageTimer]:
    """Measure the block as a stage, store its seconds in `stages` and record them, unless the block raises."""
    started_at, timer = time.perf_counter(), StageTimer()
    yield timer
    stages[stage] = time.perf_counter() - started_at - timer.excluded_seconds
    record_stage(job_id, stage, stages[stage])


def record_stage(job_id: str, stage: str, seconds: float) -> None:
    """Report the duration of a stage to the log and to Prometheus."""
    metrics.observe_stage(str(stage), seconds)
    log_fields = {"job": job_id, "stage": str(stage), "seconds": round(seconds, 4)}
    logger.info("job %s: %s took %.3f s", job_id, stage, seconds, extra=log_fields)
