"""The autoscaler of the simulated evening: the relevant behaviour of Prometheus, KEDA and the HorizontalPodAutoscaler.

Algorithm of the autoscaler: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale (ceil of metric by
threshold, tolerance, the default behaviour). Activation by KEDA: keda.sh/docs/latest/concepts and
reference/scaledobject-spec. KEDA queries Prometheus whenever the autoscaler queries KEDA.
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

#: The manifest with the shipped policies.
SCALING_MANIFEST = Path(__file__).parents[1] / "deploy" / "kubernetes" / "base" / "scaling.yaml"

#: Seconds between two decisions of the autoscaler, and the relative deviation of the metric that it tolerates.
SYNC_SECONDS, METRIC_TOLERANCE = 15.0, 0.1

#: The autoscaler's default behaviour: per SYNC_SECONDS it doubles the workers or adds four, whichever is more; it
#: scales down to the highest number recommended in the last STABILIZATION_SECONDS.
SCALE_UP_FACTOR, SCALE_UP_PODS, STABILIZATION_SECONDS = 2, 4, 300.0

#: Seconds between two scrapes of one process: the default of Prometheus, also in its Kubernetes chart.
SCRAPE_SECONDS = 60.0


@dataclass(frozen=True)
class ScalingPolicy:
    """The number of workers of one Deployment, as a ScaledObject configures it."""

    lane: Lane
    min_workers: int
    max_workers: int
    threshold: float
    #: In seconds, like the next two.
    polling_seconds: float = 10
    cooldown_seconds: float = 300
    stabilization_seconds: float = STABILIZATION_SECONDS
    #: Whether jobs in flight count as well as waiting ones, as in the shipped policies.
    count_in_flight: bool = True
    #: The lanes that its workers serve, in this order; empty: its own lane only.
    lane_order: tuple[Lane, ...] = ()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes that its workers serve."""
        return self.lane_order or (self.lane,)


def load_shipped_policies(manifest: Path = SCALING_MANIFEST) -> dict[Lane, ScalingPolicy]:
    """Return the shipped policies by lane."""
    policies = {}
    for scaled_object in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
        spec = scaled_object["spec"]
        lane = Lane(spec["scaleTargetRef"]["name"].removeprefix("artdream-worker-"))
        behaviour = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        policies[lane] = ScalingPolicy(
            lane,
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            float(spec["triggers"][0]["metadata"]["threshold"]),
            spec["pollingInterval"],
            spec["cooldownPeriod"],
            behaviour.get("scaleDown", {}).get("stabilizationWindowSeconds", STABILIZATION_SECONDS),
        )
    return policies


class SimulatedPrometheus:
    """Holds the last sample of each process: of the display, which always runs, and of the workers."""

    def __init__(self, cluster: Cluster, rng: random.Random, scrape_seconds: float = SCRAPE_SECONDS) -> None:
        self._cluster, self._rng, self._scrape_seconds = cluster, rng, scrape_seconds
        self._samples: dict[SimulatedWorker | None, dict[Lane, tuple[int, int]]] = {}
        cluster.env.process(self._scrape_target(None))

    def add_target(self, worker: SimulatedWorker) -> None:
        """Scrape a worker as well, from when it is warm until it ends."""
        self._cluster.env.process(self._scrape_target(worker))

    def query_jobs(self, policy: ScalingPolicy) -> int:
        """Return the result of a ScaledObject's query: the maxima of waiting jobs and of jobs in flight, added."""
        samples = [sample[policy.lane] for sample in self._samples.values()]
        waiting = max((waiting for waiting, _ in samples), default=0)
        return waiting + max((in_flight for _, in_flight in samples), default=0) * policy.count_in_flight

    def _scrape_target(self, target: SimulatedWorker | None) -> SimulationSteps:
        yield self._cluster.env.timeout(self._rng.uniform(0, self._scrape_seconds))
        while target is None or target in self._cluster.workers:
            if target is None or target.ready:
                self._samples[target] = {lane: self._cluster.count_jobs(lane) for lane in Lane}
            yield self._cluster.env.timeout(self._scrape_seconds)
        self._samples.pop(target, None)


class SimulatedAutoscaler:
    """Adjusts the number of workers of one Deployment to its policy."""

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
        self._workers = [
            worker for worker in self._workers if worker in self._cluster.workers and not worker.is_terminating
        ]
        return self._workers

    def _run_every(self, seconds: float, action: Callable[[], None]) -> SimulationSteps:
        yield self._cluster.env.timeout(self._rng.uniform(0, seconds))
        while True:
            action()
            yield self._cluster.env.timeout(seconds)

    def _activate_or_deactivate(self) -> None:
        """Do KEDA's part: scale from zero to one, and back to zero."""
        policy, now = self._policy, self._cluster.env.now
        if self._prometheus.query_jobs(policy) > 0:
            self._last_active_at = now
            if not self._running_workers:
                self._scale_to(max(1, policy.min_workers))
        elif self._running_workers and policy.min_workers == 0 and now - self._last_active_at > policy.cooldown_seconds:
            self._scale_to(0)

    def _autoscale(self) -> None:
        """Do the HorizontalPodAutoscaler's part: scale between one and many."""
        policy, current_count, now = self._policy, len(self._running_workers), self._cluster.env.now
        if current_count == 0:
            self._recommendations.clear()
            return
        metric = self._prometheus.query_jobs(policy)
        deviation = abs(metric / (policy.threshold * current_count) - 1)
        recommended = current_count if deviation <= METRIC_TOLERANCE else ceil(metric / policy.threshold)
        recommended = min(max(recommended, policy.min_workers, 1), policy.max_workers)
        if not self._recommendations:
            self._recommendations.append((now, current_count))
        self._recommendations.append((now, recommended))
        while self._recommendations[0][0] <= now - policy.stabilization_seconds and len(self._recommendations) > 1:
            self._recommendations.popleft()
        highest_recent = max(number for _, number in self._recommendations)
        self._scale_to(
            min(recommended, max(SCALE_UP_FACTOR * current_count, current_count + SCALE_UP_PODS))
            if recommended > current_count
            else min(current_count, highest_recent)
        )

    def _scale_to(self, worker_count: int, *, warm: bool = False) -> None:
        for _ in range(worker_count - len(self._running_workers)):
            worker = self._cluster.start_worker(self._policy.lanes, warm=warm)
            self._workers.append(worker)
            self._prometheus.add_target(worker)
        # Pods that are not ready are stopped first; the others at random, whether they are busy or not.
        candidates = sorted(self._running_workers, key=lambda candidate: (candidate.ready, self._rng.random()))
        for worker in candidates[: len(candidates) - worker_count]:
            self._cluster.stop_worker(worker)
