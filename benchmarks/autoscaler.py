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

from benchmarks.cluster import Cluster, Steps, Worker
from shared.jobs.job import Lane

#: What is shipped.
MANIFEST = Path(__file__).parents[1] / "deploy" / "kubernetes" / "base" / "scaling.yaml"

#: Seconds between two decisions of the autoscaler, and how far off the metric may be before it decides anything.
SYNC, TOLERANCE = 15.0, 0.1

#: The autoscaler's default behaviour: within one SYNC it doubles the workers or adds four, whichever is more, and it
#: goes down to the highest number that it wanted in so many seconds.
DOUBLE, MORE, STABILISATION = 2, 4, 300.0

#: Seconds between two looks of Prometheus at one process: the default of its Helm chart, and of Prometheus.
SCRAPE = 60.0


@dataclass(frozen=True)
class Policy:
    """How many workers of a Deployment there are: a ScaledObject."""

    lane: Lane
    least: int
    most: int
    threshold: float
    #: Seconds.
    polling: float = 10
    cooldown: float = 300
    stabilisation: float = STABILISATION
    #: Whether jobs in flight count, as shipped, or waiting ones alone.
    in_flight: bool = True
    #: The lanes that its workers take from, in this order; empty: its own.
    takes: tuple[Lane, ...] = ()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """What its workers take from."""
        return self.takes or (self.lane,)


def shipped(manifest: Path = MANIFEST) -> dict[Lane, Policy]:
    """Read the policies that are shipped."""
    found = {}
    for one in yaml.safe_load_all(manifest.read_text(encoding="utf-8")):
        spec = one["spec"]
        lane = Lane(spec["scaleTargetRef"]["name"].removeprefix("artdream-worker-"))
        behaviour = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
        found[lane] = Policy(
            lane,
            spec["minReplicaCount"],
            spec["maxReplicaCount"],
            float(spec["triggers"][0]["metadata"]["threshold"]),
            spec["pollingInterval"],
            spec["cooldownPeriod"],
            behaviour.get("scaleDown", {}).get("stabilizationWindowSeconds", STABILISATION),
        )
    return found


class Prometheus:
    """Knows what each process told when it was last asked: the display, which is always there, and the workers."""

    def __init__(self, cluster: Cluster, dice: random.Random, scrape: float = SCRAPE) -> None:
        self._cluster, self._dice, self._scrape = cluster, dice, scrape
        self._told: dict[Worker | None, dict[Lane, tuple[int, int]]] = {}
        cluster.env.process(self._ask(None))

    def watch(self, worker: Worker) -> None:
        """Ask a worker, too, from when it is warm until it ends."""
        self._cluster.env.process(self._ask(worker))

    def metric(self, policy: Policy) -> int:
        """Answer the query of a ScaledObject: the most that anybody tells to be waiting, and in flight."""
        told = [one[policy.lane] for one in self._told.values()]
        waiting = max((waiting for waiting, _ in told), default=0)
        return waiting + max((flying for _, flying in told), default=0) * policy.in_flight

    def _ask(self, target: Worker | None) -> Steps:
        yield self._cluster.env.timeout(self._dice.uniform(0, self._scrape))
        while target is None or target in self._cluster.workers:
            if target is None or target.ready:
                self._told[target] = {lane: self._cluster.counted(lane) for lane in Lane}
            yield self._cluster.env.timeout(self._scrape)
        self._told.pop(target, None)


class Scaler:
    """Keeps the number of workers of one Deployment."""

    def __init__(self, cluster: Cluster, policy: Policy, prometheus: Prometheus, dice: random.Random) -> None:
        self._cluster, self._policy, self._prometheus, self._dice = cluster, policy, prometheus, dice
        self._mine: list[Worker] = []
        self._wanted: deque[tuple[float, int]] = deque()
        self._active = float("-inf")
        self._set(policy.least, warm=True)
        if policy.least < policy.most:
            cluster.env.process(self._every(SYNC, self._autoscale))
            cluster.env.process(self._every(policy.polling, self._wake_or_sleep))

    @property
    def _there(self) -> list[Worker]:
        self._mine = [one for one in self._mine if one in self._cluster.workers and not one.ending]
        return self._mine

    def _every(self, seconds: float, act: Callable[[], None]) -> Steps:
        yield self._cluster.env.timeout(self._dice.uniform(0, seconds))
        while True:
            act()
            yield self._cluster.env.timeout(seconds)

    def _wake_or_sleep(self) -> None:
        """Do KEDA's part: from none to one, and to none again."""
        policy, now = self._policy, self._cluster.env.now
        if self._prometheus.metric(policy) > 0:
            self._active = now
            if not self._there:
                self._set(max(1, policy.least))
        elif self._there and policy.least == 0 and now - self._active > policy.cooldown:
            self._set(0)

    def _autoscale(self) -> None:
        """Do the autoscaler's part: from one to many, and back to one."""
        policy, there, now = self._policy, len(self._there), self._cluster.env.now
        if there == 0:
            self._wanted.clear()
            return
        metric = self._prometheus.metric(policy)
        off = abs(metric / (policy.threshold * there) - 1)
        wanted = there if off <= TOLERANCE else ceil(metric / policy.threshold)
        wanted = min(max(wanted, policy.least, 1), policy.most)
        if not self._wanted:
            self._wanted.append((now, there))
        self._wanted.append((now, wanted))
        while self._wanted[0][0] <= now - policy.stabilisation and len(self._wanted) > 1:
            self._wanted.popleft()
        down = max(number for _, number in self._wanted)
        self._set(min(wanted, max(DOUBLE * there, there + MORE)) if wanted > there else min(there, down))

    def _set(self, number: int, *, warm: bool = False) -> None:
        for _ in range(number - len(self._there)):
            worker = self._cluster.start(self._policy.lanes, warm=warm)
            self._mine.append(worker)
            self._prometheus.watch(worker)
        # Those that are not ready go first; among the others nobody asks who dreams.
        leaving = sorted(self._there, key=lambda one: (one.ready, self._dice.random()))
        for worker in leaving[: len(leaving) - number]:
            self._cluster.end(worker)
