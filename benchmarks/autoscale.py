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

from benchmarks.autoscaler import SCRAPE, Policy, Prometheus, Scaler, shipped
from benchmarks.cluster import Cluster, Delays, Steps
from benchmarks.evening import HOUR, Arrival, Evening
from benchmarks.report import percentile, publish
from shared.jobs.job import Lane

BOTH = tuple(Lane)

#: Fixed fleets to compare with: workers that take from both lanes, from opening to the end of the batch.
FLEETS = (1, 2, 4, 8, 16)


#: Hours from opening after which an evening is over, whatever is left.
LATEST = 24.0

#: Evenings that show what the usual one does not.
EVENINGS = {
    "usual": Evening(),
    "busy": Evening(quiet=2400, burst=0, batch=0),
    "together": Evening(burst_begins=(6.1 * HOUR, 6.3 * HOUR)),  # the burst comes while the batch is dreamt
    "small": Evening(batch=40),
    "prints": Evening(batch=64, batch_dream=400),
}

#: The columns of the table, and decimal places. The first are seconds, then hours, then numbers.
DIGITS = {
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
class Outcome:
    """What an evening came to."""

    #: Seconds that guests waited for their dreams to begin.
    live: tuple[float, ...]
    #: Hours from the batch's arrival to its last dream; 0 where there was none, infinite where it never came.
    batch: float
    #: Hours of workers, starting ones included, and of nodes that were paid for.
    workers: float
    nodes: float
    started: int
    disturbed: int
    handed_back: int

    @property
    def p95(self) -> float:
        """Seconds that 95 % of the guests did not exceed."""
        return percentile(self.live, 0.95) if self.live else 0.0


def spend(
    evening: Evening, policies: Sequence[Policy], seed: int, *, delays: Delays | None = None, scrape: float = SCRAPE
) -> Outcome:
    """Let one evening pass; the same seed brings the same guests to every policy."""
    env = simpy.Environment()
    arrivals = evening.arrivals(random.Random(seed))
    dice = random.Random(seed + 1_000_000)
    cluster = Cluster(env, delays or Delays(), dice)
    prometheus = Prometheus(cluster, dice, scrape)
    for policy in policies:
        Scaler(cluster, policy, prometheus, dice)
    env.run(env.process(_pass(cluster, arrivals, evening.length)))
    tally, now = cluster.tally, env.now
    return Outcome(
        live=tuple(tally.waits[Lane.LIVE]),
        batch=(max(0.0, tally.finished.get(Lane.BATCH, 0.0) - evening.batch_begins) / HOUR)
        if cluster.idle
        else float("inf"),
        workers=(tally.worked + sum(now - worker.since for worker in cluster.workers)) / HOUR,
        nodes=cluster.paid(now) / HOUR,
        started=tally.started,
        disturbed=tally.disturbed,
        handed_back=tally.handed_back,
    )


def _pass(cluster: Cluster, arrivals: Sequence[Arrival], length: float) -> Steps:
    """Bring the jobs, and end when it is late and all of them are dreamt."""
    for job in arrivals:
        if job.at > cluster.env.now:
            yield cluster.env.timeout(job.at - cluster.env.now)
        cluster.arrive(job)
    yield cluster.env.timeout(max(0.0, length - cluster.env.now))
    while not cluster.idle and cluster.env.now < LATEST * HOUR:
        yield cluster.env.timeout(1)


def fixed(number: int) -> list[Policy]:
    """Return a fleet that stays as it is, of workers that take from both lanes."""
    return [Policy(Lane.LIVE, number, number, 1, takes=BOTH)]


def candidates() -> Iterator[tuple[str, list[Policy]]]:
    """Name what is compared: what is shipped, what differs from it in one thing, and fixed fleets."""
    now = shipped()
    live, batch = now[Lane.LIVE], now[Lane.BATCH]

    def changed(of_live: dict[str, Any], of_batch: dict[str, Any]) -> list[Policy]:
        return [dataclasses.replace(live, **of_live), dataclasses.replace(batch, **of_batch)]

    yield "shipped", [live, batch]
    for least in (1, 3, 4):
        yield f"live: at least {least}", changed({"least": least}, {})
    for threshold in (2, 5, 20):
        yield f"live: {threshold} jobs a worker", changed({"threshold": threshold}, {})
    yield "live: up to 8", changed({"most": 8}, {})
    for threshold in (5, 20, 100):
        yield f"batch: {threshold} jobs a worker", changed({}, {"threshold": threshold})
    for most in (4, 16):
        yield f"batch: up to {most}", changed({}, {"most": most})
    for seconds in (60, 600):
        sooner = {"stabilisation": seconds, "cooldown": seconds}
        yield f"both: down after {seconds} s", changed(sooner, sooner)
    yield "both: waiting alone counts", changed({"in_flight": False}, {"in_flight": False})
    yield "batch workers take live jobs first", changed({}, {"takes": BOTH})
    yield "all workers take both, live first", changed({"takes": BOTH}, {"takes": BOTH})
    for number in FLEETS:
        yield f"fixed: {number}", fixed(number)


def main() -> None:
    """Compare, print, and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("evenings", nargs="*", choices=[*EVENINGS, []], default=[])
    parser.add_argument("--count", type=int, default=20, help="how many evenings of each kind")
    parser.add_argument("--scrape", type=float, default=SCRAPE, help="seconds between two looks of Prometheus")
    chosen = parser.parse_args()
    for kind in chosen.evenings or EVENINGS:
        facts = {
            name: summary([spend(EVENINGS[kind], policies, seed, scrape=chosen.scrape) for seed in range(chosen.count)])
            for name, policies in candidates()
        }
        rows = [
            (name, *(f"{value:.{DIGITS[column]}f}" for column, value in found.items())) for name, found in facts.items()
        ]
        told = {"evenings": chosen.count, "scrape": chosen.scrape, "policies": facts}
        publish(f"autoscale-{kind}", ("policy", *DIGITS), rows, told)


def summary(passed: Sequence[Outcome]) -> dict[str, float]:
    """Return means over evenings, and what the worst of them was; hours but for the waits, which are seconds."""
    mean = statistics.fmean
    values = (
        mean(one.p95 for one in passed),
        max(max(one.live, default=0.0) for one in passed),
        mean(one.batch for one in passed),
        mean(one.workers for one in passed),
        percentile([one.workers for one in passed], 0.95),
        mean(one.nodes for one in passed),
        mean(one.started for one in passed),
        mean(one.disturbed for one in passed),
        mean(one.handed_back for one in passed),
    )
    return dict(zip(DIGITS, values, strict=True))


if __name__ == "__main__":
    main()
