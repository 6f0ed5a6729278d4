"""Costs and waiting times of scaling policies and fixed fleets, for an evening in a simulated cluster.

Only a clock is simulated: guests all evening, a burst of 200, a batch of 10,000 at midnight (benchmarks/evening.py), in
a cluster with the delays of benchmarks/cluster.py. Each row is the mean over the same evenings.

    make bench-autoscale [ARGS="usual busy --count 20 --scrape 60"]
"""

import argparse
import dataclasses
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import simpy

from benchmarks.autoscaler import (
    SCRAPE_SECONDS,
    ScalingPolicy,
    SimulatedAutoscaler,
    SimulatedPrometheus,
    load_shipped_policies,
)
from benchmarks.cluster import Cluster, Delays, SimulationSteps
from benchmarks.evening import SECONDS_PER_HOUR, Arrival, Evening
from benchmarks.report import percentile, publish
from shared.jobs.job import Lane

BOTH_LANES = tuple(Lane)

#: Sizes of fixed fleets to compare with: workers that serve both lanes, from opening to the end of the batch.
FLEET_SIZES = (1, 2, 4, 8, 16)


#: Hours after opening at which the simulation of an evening ends, even if jobs remain.
MAX_EVENING_HOURS = 24.0

#: Kinds of evenings, by name.
EVENINGS = {
    "usual": Evening(),
    "busy": Evening(guests_per_hour=2400, burst_size=0, batch_size=0),
    "together": Evening(
        burst_start_range=(6.1 * SECONDS_PER_HOUR, 6.3 * SECONDS_PER_HOUR)
    ),  # the burst starts while the batch is processed
    "small": Evening(batch_size=40),
    "prints": Evening(batch_size=64, batch_dream_seconds=400),
}

#: Column of the table → decimal places. The first two are seconds, the next hours, then counts.
COLUMN_DECIMALS = {
    "p95 wait": 0,
    "longest": 0,
    "batch": 2,
    "workers": 1,
    "95 %": 1,
    "nodes": 1,
    "started": 0,
    "ended dreaming": 1,
    "handed back": 1,
}


@dataclass(frozen=True)
class EveningResult:
    """The result of one simulated evening."""

    #: Seconds that each guest waited until their dream started.
    live_wait_seconds: tuple[float, ...]
    #: Hours from the batch's arrival to its last dream; 0 without a batch, infinite if it did not finish.
    batch_hours: float
    #: Hours of workers, including their start, and paid hours of nodes.
    worker_hours: float
    node_hours: float
    started_workers: int
    interrupted_workers: int
    released_jobs: int

    @property
    def p95_wait_seconds(self) -> float:
        """The waiting time in seconds that 95 % of the guests did not exceed."""
        return percentile(self.live_wait_seconds, 0.95) if self.live_wait_seconds else 0.0


def simulate_evening(
    evening: Evening,
    policies: Sequence[ScalingPolicy],
    seed: int,
    *,
    delays: Delays | None = None,
    scrape_seconds: float = SCRAPE_SECONDS,
) -> EveningResult:
    """Simulate one evening; with the same seed, every policy gets the same guests."""
    env = simpy.Environment()
    arrivals = evening.draw_arrivals(random.Random(seed))
    rng = random.Random(seed + 1_000_000)
    cluster = Cluster(env, delays or Delays(), rng)
    prometheus = SimulatedPrometheus(cluster, rng, scrape_seconds)
    for policy in policies:
        SimulatedAutoscaler(cluster, policy, prometheus, rng)
    env.run(env.process(_submit_arrivals(cluster, arrivals, evening.length_seconds)))
    totals, now = cluster.statistics, env.now
    return EveningResult(
        live_wait_seconds=tuple(totals.wait_seconds[Lane.LIVE]),
        batch_hours=(max(0.0, totals.finished_at.get(Lane.BATCH, 0.0) - evening.batch_start) / SECONDS_PER_HOUR)
        if cluster.is_idle
        else float("inf"),
        worker_hours=(totals.worker_seconds + sum(now - worker.started_at for worker in cluster.workers))
        / SECONDS_PER_HOUR,
        node_hours=cluster.count_paid_node_seconds(now) / SECONDS_PER_HOUR,
        started_workers=totals.started_workers,
        interrupted_workers=totals.interrupted_workers,
        released_jobs=totals.released_jobs,
    )


def _submit_arrivals(cluster: Cluster, arrivals: Sequence[Arrival], length_seconds: float) -> SimulationSteps:
    """Enqueue the jobs as they arrive; end after closing time, once all are processed or the evening is too long."""
    for job in arrivals:
        if job.arrives_at > cluster.env.now:
            yield cluster.env.timeout(job.arrives_at - cluster.env.now)
        cluster.enqueue(job)
    yield cluster.env.timeout(max(0.0, length_seconds - cluster.env.now))
    while not cluster.is_idle and cluster.env.now < MAX_EVENING_HOURS * SECONDS_PER_HOUR:
        yield cluster.env.timeout(1)


def fixed_fleet(worker_count: int) -> list[ScalingPolicy]:
    """Return the policy of a fixed number of workers that serve both lanes."""
    return [ScalingPolicy(Lane.LIVE, worker_count, worker_count, 1, lane_order=BOTH_LANES)]


def list_candidates() -> Iterator[tuple[str, list[ScalingPolicy]]]:
    """Yield the compared policies by name: the shipped ones, variations in one parameter, and fixed fleets."""
    shipped = load_shipped_policies()
    live, batch = shipped[Lane.LIVE], shipped[Lane.BATCH]

    def with_changes(live_changes: dict[str, Any], batch_changes: dict[str, Any]) -> list[ScalingPolicy]:
        return [dataclasses.replace(live, **live_changes), dataclasses.replace(batch, **batch_changes)]

    yield "shipped", [live, batch]
    for minimum in (1, 3, 4):
        yield f"live: at least {minimum}", with_changes({"min_workers": minimum}, {})
    for threshold in (2, 5, 20):
        yield f"live: {threshold} jobs a worker", with_changes({"threshold": threshold}, {})
    yield "live: up to 8", with_changes({"max_workers": 8}, {})
    for threshold in (5, 20, 100):
        yield f"batch: {threshold} jobs a worker", with_changes({}, {"threshold": threshold})
    for maximum in (4, 16):
        yield f"batch: up to {maximum}", with_changes({}, {"max_workers": maximum})
    for seconds in (60, 600):
        down_sooner = {"stabilization_seconds": seconds, "cooldown_seconds": seconds}
        yield f"both: down after {seconds} s", with_changes(down_sooner, down_sooner)
    yield "both: waiting alone counts", with_changes({"count_in_flight": False}, {"count_in_flight": False})
    yield "batch workers take live jobs first", with_changes({}, {"lane_order": BOTH_LANES})
    yield "all workers take both, live first", with_changes({"lane_order": BOTH_LANES}, {"lane_order": BOTH_LANES})
    for number in FLEET_SIZES:
        yield f"fixed: {number}", fixed_fleet(number)


def main() -> None:
    """Simulate the chosen evenings with every policy, print and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("evenings", nargs="*", choices=[*EVENINGS, []], default=[])
    parser.add_argument("--count", type=int, default=20, help="how many evenings of each kind")
    parser.add_argument("--scrape", type=float, default=SCRAPE_SECONDS, help="seconds between two looks of Prometheus")
    arguments = parser.parse_args()
    for evening_name in arguments.evenings or EVENINGS:
        facts = {
            name: summarize(
                [
                    simulate_evening(EVENINGS[evening_name], policies, seed, scrape_seconds=arguments.scrape)
                    for seed in range(arguments.count)
                ]
            )
            for name, policies in list_candidates()
        }
        rows = [
            (name, *(f"{value:.{COLUMN_DECIMALS[column]}f}" for column, value in means.items()))
            for name, means in facts.items()
        ]
        published = {"evenings": arguments.count, "scrape": arguments.scrape, "policies": facts}
        publish(f"autoscale-{evening_name}", ("policy", *COLUMN_DECIMALS), rows, published)


def summarize(results: Sequence[EveningResult]) -> dict[str, float]:
    """Return means over evenings and the longest wait, by column; waits in seconds, other times in hours."""
    mean = statistics.fmean
    values = (
        mean(result.p95_wait_seconds for result in results),
        max(max(result.live_wait_seconds, default=0.0) for result in results),
        mean(result.batch_hours for result in results),
        mean(result.worker_hours for result in results),
        percentile([result.worker_hours for result in results], 0.95),
        mean(result.node_hours for result in results),
        mean(result.started_workers for result in results),
        mean(result.interrupted_workers for result in results),
        mean(result.released_jobs for result in results),
    )
    return dict(zip(COLUMN_DECIMALS, values, strict=True))


if __name__ == "__main__":
    main()
