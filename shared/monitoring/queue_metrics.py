"""Queue metrics: waiting and running jobs, their ages, and live processes, read from the broker at each scrape."""

from collections import Counter
from collections.abc import Iterator

import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.jobs.queue import parse_job_id, queue_keys
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.redis_keys import job_key
from shared.settings import Settings

#: Seconds until the broker counts as unavailable; short, because scrapers do not wait long.
SCRAPE_TIMEOUT_SECONDS = 2


class QueueMetricsCollector(Collector):
    """Collects metrics of the whole installation from the broker; they are the same in every process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics; if the broker is unavailable, only `artdream_broker_up` with 0."""
        up = GaugeMetricFamily("artdream_broker_up", "Whether the broker answers.")
        try:
            with connect(self._settings.broker, timeout=SCRAPE_TIMEOUT_SECONDS) as client:
                families = [*_measure_lanes(client), _count_processes(client)]
        except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED, ArtDreamError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families


def _measure_lanes(client: redis.Redis) -> list[GaugeMetricFamily]:
    jobs = GaugeMetricFamily("artdream_lane_jobs", "Jobs in a lane: waiting, or in flight.", labels=["lane", "where"])
    oldest = GaugeMetricFamily(
        "artdream_lane_oldest_seconds", "Since when the oldest of them is there, 0: none is.", labels=["lane", "where"]
    )
    seconds, microseconds = client.time()
    now = seconds + microseconds / 1e6
    leased = JobTable(client).list_leased()
    for lane in Lane:
        pipeline = client.pipeline(transaction=False)
        for name in queue_keys(lane):
            pipeline.llen(name)
            pipeline.lindex(name, -1)  # the next to be served, and so the oldest of its list
        replies = pipeline.execute()
        waiting_count = sum(replies[::2])
        next_ids = [*filter(None, (parse_job_id(message) for message in replies[1::2] if message))]
        leased_ids = [record.job.id for record in leased if record.job.lane is lane]
        for where, count, ids in (("waiting", waiting_count, next_ids), ("in flight", len(leased_ids), leased_ids)):
            jobs.add_metric([lane, where], count)
            oldest.add_metric([lane, where], _measure_oldest_age(client, ids, now))
    return [jobs, oldest]


def _count_processes(client: redis.Redis) -> GaugeMetricFamily:
    present = GaugeMetricFamily("artdream_present", "Processes that are there.", labels=["part", "state"])
    counts = Counter((heartbeat.part, heartbeat.state) for heartbeat in HeartbeatRegistry(client).list_heartbeats())
    for component in Component:  # a missing component is reported with 0, so that alerts can fire on it
        if component in (Component.PRINTER, Component.WEBHOOKS):
            continue  # most installations have none
        if not any(present_component == component for present_component, _ in counts):
            counts[component, ""] = 0
    for (component, state), count in counts.items():
        present.add_metric([component, state], count)
    return present


def _measure_oldest_age(client: redis.Redis, job_ids: list[str], now: float) -> float:
    """Return the seconds since the oldest last transition of some jobs; 0 if there are none."""
    pipeline = client.pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.hget(job_key(job_id), "at")
    return max((now - float(state_since) for state_since in pipeline.execute() if state_since), default=0.0)
