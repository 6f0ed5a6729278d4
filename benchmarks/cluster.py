"""The cluster of the simulated evening: lanes, workers that dream, and the nodes that they are on."""

import random
from collections import Counter, deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.evening import Arrival
from shared.jobs.job import Lane

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Delays:
    """What takes its time in a cluster, in seconds. None of it was measured here but `warm`."""

    #: A node with a card comes up, its driver too: two to five minutes at the large providers, when they have cards.
    node: tuple[float, float] = (120, 300)
    #: A fresh node pulls the worker's image of several GB.
    image: tuple[float, float] = (30, 120)
    #: A worker becomes warm: the bundled network here (README).
    warm: float = 16
    #: A node that stands empty is given back after this (cluster-autoscaler, --scale-down-unneeded-time).
    unneeded: float = 600
    #: ARTDREAM_GRACE_SECONDS of the manifests.
    grace: float = 20


@dataclass
class Node:
    """A machine with one card, paid for from when it is asked for."""

    since: float
    empty_since: float | None = None


@dataclass(eq=False)
class Worker:
    """A pod."""

    lanes: tuple[Lane, ...]
    node: Node
    since: float
    ready: bool = False
    ending: bool = False
    dreaming: Arrival | None = None
    #: When its dream will be finished.
    until: float = 0.0
    called: simpy.Event | None = None
    process: simpy.Process | None = None


@dataclass
class Tally:
    """What an evening was like."""

    #: Seconds from arrival to the beginning of the dream, by lane.
    waits: dict[Lane, list[float]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    #: When the last job of a lane was finished.
    finished: dict[Lane, float] = field(default_factory=dict)
    #: Seconds that workers were there, starting ones included.
    worked: float = 0.0
    #: Workers that were started, that were told to end while they dreamt, and that had to hand a dream back.
    started: int = 0
    disturbed: int = 0
    handed_back: int = 0


class Cluster:
    """Workers that take from lanes, the first of theirs first."""

    def __init__(self, env: simpy.Environment, delays: Delays, dice: random.Random) -> None:
        self.env = env
        self.tally = Tally()
        self.workers: list[Worker] = []
        self._delays, self._dice = delays, dice
        self._waiting: dict[Lane, deque[Arrival]] = {lane: deque() for lane in Lane}
        self._flying: Counter[Lane] = Counter()
        self._nodes: list[Node] = []

    def counted(self, lane: Lane) -> tuple[int, int]:
        """Return how many jobs of a lane wait, and how many are in flight: what artdream_lane_jobs tells."""
        return len(self._waiting[lane]), self._flying[lane]

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not any(self._waiting.values()) and not self._flying.total()

    def arrive(self, job: Arrival) -> None:
        """Put a job into its lane, and call a worker for it."""
        self._waiting[job.lane].append(job)
        self._call(job.lane)

    def start(self, lanes: tuple[Lane, ...], *, warm: bool = False) -> Worker:
        """Ask for a worker; warm: it has been there since before the evening."""
        now = self.env.now
        kept = [one for one in self._nodes if one.empty_since is not None and now < self._given_back(one)]
        if kept:
            node, delay = kept[-1], self._delays.warm
            node.empty_since = None
        else:
            node = Node(now)
            self._nodes.append(node)
            fresh = self._dice.uniform(*self._delays.node) + self._dice.uniform(*self._delays.image)
            delay = 0.0 if warm else fresh + self._delays.warm
        worker = Worker(lanes, node, now)
        self.workers.append(worker)
        self.tally.started += 1
        worker.process = self.env.process(self._life(worker, delay))
        return worker

    def end(self, worker: Worker) -> None:
        """Tell a worker to end: it finishes its dream within the grace, or hands it back."""
        worker.ending = True
        if worker.dreaming:
            self.tally.disturbed += 1
            if worker.until - self.env.now > self._delays.grace:
                self.env.process(self._break_off(worker))
        elif worker.called:
            worker.called.succeed()
            worker.called = None
        elif worker.process and worker.process.is_alive and not worker.ready:
            worker.process.interrupt()

    def paid(self, until: float) -> float:
        """Return the seconds that nodes were paid for."""
        return sum(min(until, self._given_back(node)) - node.since for node in self._nodes)

    def _given_back(self, node: Node) -> float:
        return float("inf") if node.empty_since is None else node.empty_since + self._delays.unneeded

    def _call(self, lane: Lane) -> None:
        for worker in self.workers:
            if worker.called and lane in worker.lanes:
                worker.called.succeed()
                worker.called = None
                return

    def _life(self, worker: Worker, delay: float) -> Steps:
        try:
            yield self.env.timeout(delay)
            worker.ready = True
            while not worker.ending:
                job = next((self._waiting[lane].popleft() for lane in worker.lanes if self._waiting[lane]), None)
                if job is None:
                    worker.called = self.env.event()
                    yield worker.called
                else:
                    yield from self._dream(worker, job)
        except simpy.Interrupt:
            pass
        finally:
            self.workers.remove(worker)
            self.tally.worked += self.env.now - worker.since
            worker.node.empty_since = self.env.now
            for lane in worker.lanes:  # it may have been called just before it was told to end
                if self._waiting[lane]:
                    self._call(lane)

    def _dream(self, worker: Worker, job: Arrival) -> Steps:
        begun = self.env.now
        worker.dreaming, worker.until = job, begun + job.seconds
        self._flying[job.lane] += 1
        try:
            yield self.env.timeout(job.seconds)
        except simpy.Interrupt:
            self.tally.handed_back += 1
            self._flying[job.lane] -= 1
            self.arrive(job)
            raise
        self._flying[job.lane] -= 1
        worker.dreaming = None
        self.tally.waits[job.lane].append(begun - job.at)
        self.tally.finished[job.lane] = self.env.now

    def _break_off(self, worker: Worker) -> Steps:
        yield self.env.timeout(self._delays.grace)
        if worker.process:
            worker.process.interrupt()
