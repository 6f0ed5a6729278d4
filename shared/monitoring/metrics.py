"""Metrics: what a process counts of its own work, for Prometheus.

Counting costs a microsecond and nothing is served unless a port is set: see shared/monitoring/exporter.py.
"""

from prometheus_client import Counter, Histogram

#: Seconds: what a stage of a live photo takes, from a cached read to a big canvas on a processor.
_STAGE_BUCKETS_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 2, 3, 5, 8, 13, 30, 60, 120, 300, 600)

_STAGE_SECONDS = Histogram(
    "artdream_stage_seconds", "How long stages of jobs took.", ["stage"], buckets=_STAGE_BUCKETS_SECONDS
)
_JOBS = Counter("artdream_jobs", "Jobs by what became of them here.", ["outcome"])
_FAULTS = Counter("artdream_faults", "What went wrong, by kind.", ["kind"])
_REJECTED_FILES = Counter("artdream_refused_files", "Files that did not become photos.")
_UNREADABLE = Counter("artdream_unreadable", "What came over the broker and could not be read.", ["what"])


def observe_stage(stage: str, seconds: float) -> None:
    """Note how long a stage took."""
    _STAGE_SECONDS.labels(stage).observe(seconds)


def count_job(outcome: str) -> None:
    """Count a job: submitted, already known; completed, failed, called off."""
    _JOBS.labels(outcome).inc()


def count_fault(kind: str) -> None:
    """Count a fault: bug, expected, time limit, worker died, message lost; away."""
    _FAULTS.labels(kind).inc()


def count_rejected_file() -> None:
    """Count a file that was set aside."""
    _REJECTED_FILES.inc()


def count_unreadable(kind: str) -> None:
    """Count a message or an event that nobody here understands."""
    _UNREADABLE.labels(kind).inc()
