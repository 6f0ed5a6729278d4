"""What a scaling policy costs and what it is worth: an evening in a simulated cluster, by policy and by fixed fleet.

Nothing runs but a clock: guests all evening, a burst of 200, a batch of 10,000 at midnight (benchmarks/evening.py), in
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

#: Fixed fleets to compare with: workers that take from both lanes, from opening to the end of the batch.
FLEET_SIZES = (1, 2, 4, 8, 16)


#: Hours from opening after which an evening is over, whatever is left.
MAX_EVENING_HOURS = 24.0

#: Evenings that show what the usual one does not.
EVENINGS = {
    "usual": Evening(),
    "busy": Evening(guests_per_hour=2400, burst_size=0, batch_size=0),
    "together": Evening(
        burst_start_range=(6.1 * SECONDS_PER_HOUR, 6.3 * SECONDS_PER_HOUR)
    ),  # the burst comes while the batch is dreamt
    "small": Evening(batch_size=40),
    "prints": Evening(batch_size=64, batch_dream_seconds=400),
}

#: The columns of the table, and decimal places. The first are seconds, then hours, then numbers.
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
    """What an evening came to."""

    #: Seconds that guests waited for their dreams to begin.
    live_wait_seconds: tuple[float, ...]
    #: Hours from the batch's arrival to its last dream; 0 where there was none, infinite where it never came.
    batch_hours: float
    #: Hours of workers, starting ones included, and of nodes that were paid for.
    worker_hours: float
    node_hours: float
    started_workers: int
    interrupted_workers: int
    released_jobs: int

    @property
    def p95_wait_seconds(self) -> float:
        """Seconds that 95 % of the guests did not exceed."""
        return percentile(self.live_wait_seconds, 0.95) if self.live_wait_seconds else 0.0


def simulate_evening(
    evening: Evening,
    policies: Sequence[ScalingPolicy],
    seed: int,
    *,
    delays: Delays | None = None,
    scrape_seconds: float = SCRAPE_SECONDS,
) -> EveningResult:
    """Let one evening pass; the same seed brings the same guests to every policy."""
    env = simpy.Environment()
    arrivals = evening.draw_arrivals(random.Random(seed))
    dice = random.Random(seed + 1_000_000)
    cluster = Cluster(env, delays or Delays(), dice)
    prometheus = SimulatedPrometheus(cluster, dice, scrape_seconds)
    for policy in policies:
        SimulatedAutoscaler(cluster, policy, prometheus, dice)
    env.run(env.process(_submit_arrivals(cluster, arrivals, evening.length_seconds)))
    tally, now = cluster.statistics, env.now
    return EveningResult(
        live_wait_seconds=tuple(tally.wait_seconds[Lane.LIVE]),
        batch_hours=(max(0.0, tally.finished_at.get(Lane.BATCH, 0.0) - evening.batch_start) / SECONDS_PER_HOUR)
        if cluster.is_idle
        else float("inf"),
        worker_hours=(tally.worker_seconds + sum(now - worker.started_at for worker in cluster.workers))
        / SECONDS_PER_HOUR,
        node_hours=cluster.count_paid_node_seconds(now) / SECONDS_PER_HOUR,
        started_workers=tally.started_workers,
        interrupted_workers=tally.interrupted_workers,
        released_jobs=tally.released_jobs,
    )


def _submit_arrivals(cluster: Cluster, arrivals: Sequence[Arrival], length_seconds: float) -> SimulationSteps:
    """Bring the jobs, and end when it is late and all of them are dreamt."""
    for job in arrivals:
        if job.arrives_at > cluster.env.now:
            yield cluster.env.timeout(job.arrives_at - cluster.env.now)
        cluster.enqueue(job)
    yield cluster.env.timeout(max(0.0, length_seconds - cluster.env.now))
    while not cluster.is_idle and cluster.env.now < MAX_EVENING_HOURS * SECONDS_PER_HOUR:
        yield cluster.env.timeout(1)


def fixed_fleet(worker_count: int) -> list[ScalingPolicy]:
    """Return a fleet that stays as it is, of workers that take from both lanes."""
    return [ScalingPolicy(Lane.LIVE, worker_count, worker_count, 1, lane_order=BOTH_LANES)]


def list_candidates() -> Iterator[tuple[str, list[ScalingPolicy]]]:
    """Name what is compared: what is shipped, what differs from it in one thing, and fixed fleets."""
    now = load_shipped_policies()
    live, batch = now[Lane.LIVE], now[Lane.BATCH]

    def with_changes(live_changes: dict[str, Any], batch_changes: dict[str, Any]) -> list[ScalingPolicy]:
        return [dataclasses.replace(live, **live_changes), dataclasses.replace(batch, **batch_changes)]

    yield "shipped", [live, batch]
    for least in (1, 3, 4):
        yield f"live: at least {least}", with_changes({"min_workers": least}, {})
    for threshold in (2, 5, 20):
        yield f"live: {threshold} jobs a worker", with_changes({"threshold": threshold}, {})
    yield "live: up to 8", with_changes({"max_workers": 8}, {})
    for threshold in (5, 20, 100):
        yield f"batch: {threshold} jobs a worker", with_changes({}, {"threshold": threshold})
    for most in (4, 16):
        yield f"batch: up to {most}", with_changes({}, {"max_workers": most})
    for seconds in (60, 600):
        sooner = {"stabilization_seconds": seconds, "cooldown_seconds": seconds}
        yield f"both: down after {seconds} s", with_changes(sooner, sooner)
    yield "both: waiting alone counts", with_changes({"count_in_flight": False}, {"count_in_flight": False})
    yield "batch workers take live jobs first", with_changes({}, {"lane_order": BOTH_LANES})
    yield "all workers take both, live first", with_changes({"lane_order": BOTH_LANES}, {"lane_order": BOTH_LANES})
    for number in FLEET_SIZES:
        yield f"fixed: {number}", fixed_fleet(number)


def main() -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("evenings", nargs="*", choices=[*EVENINGS, []], default=[])
    parser.add_argument("--count", type=int, default=20, help="how many evenings of each kind")
    parser.add_argument("--scrape", type=float, default=SCRAPE_SECONDS, help="seconds between two looks of Prometheus")
    chosen = parser.parse_args()
    for kind in chosen.evenings or EVENINGS:
        facts = {
            name: summarize(
                [
                    simulate_evening(EVENINGS[kind], policies, seed, scrape_seconds=chosen.scrape)
                    for seed in range(chosen.count)
                ]
            )
            for name, policies in list_candidates()
        }
        rows = [
            (name, *(f"{value:.{COLUMN_DECIMALS[column]}f}" for column, value in found.items()))
            for name, found in facts.items()
        ]
        told = {"evenings": chosen.count, "scrape": chosen.scrape, "policies": facts}
        publish(f"autoscale-{kind}", ("policy", *COLUMN_DECIMALS), rows, told)


def summarize(results: Sequence[EveningResult]) -> dict[str, float]:
    """Return means over evenings, and what the worst of them was; hours but for the waits, which are seconds."""
    mean = statistics.fmean
    values = (
        mean(one.p95_wait_seconds for one in results),
        max(max(one.live_wait_seconds, default=0.0) for one in results),
        mean(one.batch_hours for one in results),
        mean(one.worker_hours for one in results),
        percentile([one.worker_hours for one in results], 0.95),
        mean(one.node_hours for one in results),
        mean(one.started_workers for one in results),
        mean(one.interrupted_workers for one in results),
        mean(one.released_jobs for one in results),
    )
    return dict(zip(COLUMN_DECIMALS, values, strict=True))


if __name__ == "__main__":
    main()
