"""The census: what waits, what is in flight, since when, and who is there, counted in the broker when it is asked."""

from collections import Counter
from collections.abc import Iterator

import redis
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, connect
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.jobs.queue import parse_job_id, queue_keys
from shared.jobs.state_machine import job_key
from shared.jobs.table import JobTable
from shared.monitoring.heartbeat import Component, HeartbeatRegistry
from shared.settings import Settings

#: Seconds that the broker has for an answer: whoever scrapes does not wait long.
SCRAPE_TIMEOUT_SECONDS = 2


class QueueMetricsCollector(Collector):
    """What the broker knows of the whole installation: each process that serves metrics tells the same."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask the broker; one that is away is told as such, and nothing else is."""
        up = GaugeMetricFamily("artdream_broker_up", "Whether the broker answers.")
        try:
            with connect(self._settings.broker, timeout=SCRAPE_TIMEOUT_SECONDS) as client:
                found = [*_measure_lanes(client), _count_processes(client)]
        except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED, ArtDreamError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from found


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
        answers = pipeline.execute()
        waiting, ends = sum(answers[::2]), [*filter(None, (parse_job_id(text) for text in answers[1::2] if text))]
        flying = [entry.job.id for entry in leased if entry.job.lane is lane]
        for where, count, ids in (("waiting", waiting, ends), ("in flight", len(flying), flying)):
            jobs.add_metric([lane, where], count)
            oldest.add_metric([lane, where], _measure_oldest_age(client, ids, now))
    return [jobs, oldest]


def _count_processes(client: redis.Redis) -> GaugeMetricFamily:
    present = GaugeMetricFamily("artdream_present", "Processes that are there.", labels=["part", "state"])
    count = Counter((one.part, one.state) for one in HeartbeatRegistry(client).list_heartbeats())
    for part in Component:  # a part that is not there is told, for somebody to be woken by it
        if not any(known == part for known, _ in count):
            count[part, ""] = 0
    for (part, state), number in count.items():
        present.add_metric([part, state], number)
    return present


def _measure_oldest_age(client: redis.Redis, job_ids: list[str], now: float) -> float:
    """Return since when the first of some jobs is in the state it is in, in seconds."""
    pipeline = client.pipeline(transaction=False)
    for job_id in job_ids:
        pipeline.hget(job_key(job_id), "at")
    return max((now - float(at) for at in pipeline.execute() if at), default=0.0)
