"""Metrics of this process, as a scrape would read them."""

from prometheus_client import REGISTRY


def count_faults(kind: str) -> float:
    """Return how many faults of a kind were counted."""
    return REGISTRY.get_sample_value("artdream_faults_total", {"kind": kind}) or 0
