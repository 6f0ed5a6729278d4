"""The scaler of the simulated evening: Prometheus, KEDA and the HorizontalPodAutoscaler, as far as they decide here.

How the autoscaler reckons: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (ceil of metric by
threshold, tolerance, the default behaviour). How KEDA wakes and puts to sleep: keda.sh/docs/latest/concepts and
reference/scaledobject-spec. KEDA asks Prometheus whenever the autoscaler asks KEDA.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import yaml

from benchmarks.cluster import Cluster, SimulatedWorker, SimulationSteps
from shared.jobs.job import Lane

#: What is shipped.
SCALING_MANIFEST = Path(__file__).parents[1] / "deploy" / "kubernetes" / "base" / "scaling.yaml"

#: Seconds between two decisions of the autoscaler, and how far off the metric may be before it decides anything.
SYNC_SECONDS, METRIC_TOLERANCE = 15.0, 0.1

#: The autoscaler's default behaviour: within one SYNC it doubles the workers or adds four, whichever is more, and it
#: goes down to the highest number that it wanted in so many seconds.
SCALE_UP_FACTOR, SCALE_UP_PODS, STABILIZATION_SECONDS = 2, 4, 300.0

#: Seconds between two looks of Prometheus at one process: the default of its Helm chart, and of Prometheus.
SCRAPE_SECONDS = 60.0


@dataclass(frozen=True)
class ScalingPolicy:
    """How many workers of a Deployment there are: a ScaledObject."""

    lane: Lane
    min_workers: int
    max_workers: int
    threshold: float
    #: Seconds.
    polling_seconds: float = 10
    cooldown_seconds: float = 300
    stabilization_seconds: float = STABILIZATION_SECONDS
    #: Whether jobs in flight count, as shipped, or waiting ones alone.
    count_in_flight: bool = True
    #: The lanes that its workers take from, in this order; empty: its own.
    lane_order: tuple[Lane, ...] = ()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """What its workers take from."""
        return self.lane_order or (self.lane,)


def load_shipped_policies(manifest: Path = SCALING_MANIFEST) -> dict[Lane, ScalingPolicy]:
    """Read the policies that are shipped."""
    found = {}
    for one in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
        spec = one["spec"]
        lane = Lane(spec["scaleTargetRef"]["name"].removeprefix("artdream-worker-"))
        behaviour = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        found[lane] = ScalingPolicy(
            lane,
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            float(spec["triggers"][0]["metadata"]["threshold"]),
            spec["pollingInterval"],
            spec["cooldownPeriod"],
            behaviour.get("scaleDown", {}).get("stabilizationWindowSeconds", STABILIZATION_SECONDS),
        )
    return found


class SimulatedPrometheus:
    """Knows what each process told when it was last asked: the display, which is always there, and the workers."""

    def __init__(self, cluster: Cluster, rng: random.Random, scrape_seconds: float = SCRAPE_SECONDS) -> None:
        self._cluster, self._rng, self._scrape_seconds = cluster, rng, scrape_seconds
        self._samples: dict[SimulatedWorker | None, dict[Lane, tuple[int, int]]] = {}
        cluster.env.process(self._scrape_target(None))

    def add_target(self, worker: SimulatedWorker) -> None:
        """Ask a worker, too, from when it is warm until it ends."""
        self._cluster.env.process(self._scrape_target(worker))

    def query_jobs(self, policy: ScalingPolicy) -> int:
        """Answer the query of a ScaledObject: the most that anybody tells to be waiting, and in flight."""
        told = [one[policy.lane] for one in self._samples.values()]
        waiting = max((waiting for waiting, _ in told), default=0)
        return waiting + max((flying for _, flying in told), default=0) * policy.count_in_flight

    def _scrape_target(self, target: SimulatedWorker | None) -> SimulationSteps:
        yield self._cluster.env.timeout(self._rng.uniform(0, self._scrape_seconds))
        while target is None or target in self._cluster.workers:
            if target is None or target.ready:
                self._samples[target] = {lane: self._cluster.count_jobs(lane) for lane in Lane}
            yield self._cluster.env.timeout(self._scrape_seconds)
        self._samples.pop(target, None)


class SimulatedAutoscaler:
    """Keeps the number of workers of one Deployment."""

    def __init__(
        self, cluster: Cluster, policy: ScalingPolicy, prometheus: SimulatedPrometheus, rng: random.Random
    ) -> None:
        self._cluster, self._policy, self._prometheus, self._rng = cluster, policy, prometheus, rng
        self._workers: list[SimulatedWorker] = []
        self._recommendations: deque[tuple[float, int]] = deque()
        self._last_active_at = float("-inf")
        self._scale_to(policy.min_workers, warm=True)
        if policy.min_workers < policy.max_workers:
            cluster.env.process(self._run_every(SYNC_SECONDS, self._autoscale))
            cluster.env.process(self._run_every(policy.polling_seconds, self._activate_or_deactivate))

    @property
    def _running_workers(self) -> list[SimulatedWorker]:
        self._workers = [one for one in self._workers if one in self._cluster.workers and not one.is_terminating]
        return self._workers

    def _run_every(self, seconds: float, action: Callable[[], None]) -> SimulationSteps:
        yield self._cluster.env.timeout(self._rng.uniform(0, seconds))
        while True:
            action()
            yield self._cluster.env.timeout(seconds)

    def _activate_or_deactivate(self) -> None:
        """Do KEDA's part: from none to one, and to none again."""
        policy, now = self._policy, self._cluster.env.now
        if self._prometheus.query_jobs(policy) > 0:
            self._last_active_at = now
            if not self._running_workers:
                self._scale_to(max(1, policy.min_workers))
        elif self._running_workers and policy.min_workers == 0 and now - self._last_active_at > policy.cooldown_seconds:
            self._scale_to(0)

    def _autoscale(self) -> None:
        """Do the autoscaler's part: from one to many, and back to one."""
        policy, there, now = self._policy, len(self._running_workers), self._cluster.env.now
        if there == 0:
            self._recommendations.clear()
            return
        metric = self._prometheus.query_jobs(policy)
        off = abs(metric / (policy.threshold * there) - 1)
        wanted = there if off <= METRIC_TOLERANCE else ceil(metric / policy.threshold)
        wanted = min(max(wanted, policy.min_workers, 1), policy.max_workers)
        if not self._recommendations:
            self._recommendations.append((now, there))
        self._recommendations.append((now, wanted))
        while self._recommendations[0][0] <= now - policy.stabilization_seconds and len(self._recommendations) > 1:
            self._recommendations.popleft()
        down = max(number for _, number in self._recommendations)
        self._scale_to(
            min(wanted, max(SCALE_UP_FACTOR * there, there + SCALE_UP_PODS)) if wanted > there else min(there, down)
        )

    def _scale_to(self, worker_count: int, *, warm: bool = False) -> None:
        for _ in range(worker_count - len(self._running_workers)):
            worker = self._cluster.start_worker(self._policy.lanes, warm=warm)
            self._workers.append(worker)
            self._prometheus.add_target(worker)
        # Those that are not ready go first; among the others nobody asks who dreams.
        leaving = sorted(self._running_workers, key=lambda one: (one.ready, self._rng.random()))
        for worker in leaving[: len(leaving) - worker_count]:
            self._cluster.stop_worker(worker)
