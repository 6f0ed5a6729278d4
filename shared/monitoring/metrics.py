"""Metrics: each process counts its own work for Prometheus.

Counting takes about a microsecond. Nothing is served unless a port is set: see `shared.monitoring.exporter`.
"""

from prometheus_client import Counter, Histogram

#: Bucket bounds in seconds: from a cached read to a large canvas on a CPU.
_STAGE_BUCKETS_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 2, 3, 5, 8, 13, 30, 60, 120, 300, 600)

_STAGE_SECONDS = Histogram(
    "artdream_stage_seconds", "How long stages of jobs took.", ["stage"], buckets=_STAGE_BUCKETS_SECONDS
)
_JOBS = Counter("artdream_jobs", "Jobs by what became of them here.", ["outcome"])
_FAULTS = Counter("artdream_faults", "What went wrong, by kind.", ["kind"])
_REJECTED_FILES = Counter("artdream_refused_files", "Files that did not become photos.")
_WEBHOOKS = Counter("artdream_webhooks", "Attempts to deliver a webhook, by outcome.", ["outcome"])
_UNREADABLE = Counter("artdream_unreadable", "What came over the broker and could not be read.", ["what"])


def observe_stage(stage: str, seconds: float) -> None:
    """Record the duration of a stage."""
    _STAGE_SECONDS.labels(stage).observe(seconds)


def count_job(outcome: str) -> None:
    """Count a job. outcome: `submitted`, `already known`; `completed`, `failed`, `cancelled`."""
    _JOBS.labels(outcome).inc()


def count_fault(kind: str) -> None:
    """Count a fault. kind: bug, expected, time limit, worker died, message lost; away."""
    _FAULTS.labels(kind).inc()


def count_rejected_file() -> None:
    """Count a rejected file."""
    _REJECTED_FILES.inc()


def count_webhook(outcome: str) -> None:
    """Count an attempt to deliver a webhook. outcome: delivered, retry, given_up, withdrawn."""
    _WEBHOOKS.labels(outcome).inc()


def count_unreadable(kind: str) -> None:
    """Count an unreadable message or event. kind: message, event."""
    _UNREADABLE.labels(kind).inc()
