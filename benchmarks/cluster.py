"""The cluster of the simulated evening: lanes, workers, and the nodes that they run on."""

import random
from collections import Counter, deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import simpy

from benchmarks.evening import Arrival
from shared.jobs.job import Lane

SimulationSteps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Delays:
    """Delays of a cluster, in seconds. Assumptions, except `warm_up_seconds`, which was measured."""

    #: A node with a GPU starts, driver included: two to five minutes at the large providers, if a GPU is available.
    node_seconds: tuple[float, float] = (120, 300)
    #: A new node pulls the worker's image of several GB.
    image_pull_seconds: tuple[float, float] = (30, 120)
    #: A worker becomes warm: measured with the bundled network (README).
    warm_up_seconds: float = 16
    #: An empty node is removed after this time (cluster-autoscaler, --scale-down-unneeded-time).
    scale_down_seconds: float = 600
    #: ARTDREAM_GRACE_SECONDS of the manifests.
    grace_seconds: float = 20


@dataclass
class Node:
    """A machine with one GPU, paid for from the time it is requested."""

    created_at: float
    empty_since: float | None = None


@dataclass(eq=False)
class SimulatedWorker:
    """A worker's pod."""

    lanes: tuple[Lane, ...]
    node: Node
    started_at: float
    ready: bool = False
    is_terminating: bool = False
    current_job: Arrival | None = None
    #: Simulated time at which its current dream is finished.
    busy_until: float = 0.0
    wake_event: simpy.Event | None = None
    process: simpy.Process | None = None


@dataclass
class ClusterStatistics:
    """Counters and times of one simulated evening."""

    #: Seconds from the arrival of each job to the start of its dream, by lane.
    wait_seconds: dict[Lane, list[float]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    #: Simulated time at which the last job of a lane was finished.
    finished_at: dict[Lane, float] = field(default_factory=dict)
    #: Total lifetime of workers in seconds, including their start.
    worker_seconds: float = 0.0
    #: Workers that were started, workers that were stopped during a dream, and jobs that were released.
    started_workers: int = 0
    interrupted_workers: int = 0
    released_jobs: int = 0


class Cluster:
    """Workers that take jobs from their lanes, in the order of priority."""

    def __init__(self, env: simpy.Environment, delays: Delays, rng: random.Random) -> None:
        self.env = env
        self.statistics = ClusterStatistics()
        self.workers: list[SimulatedWorker] = []
        self._delays, self._rng = delays, rng
        self._queues: dict[Lane, deque[Arrival]] = {lane: deque() for lane in Lane}
        self._in_flight: Counter[Lane] = Counter()
        self._nodes: list[Node] = []

    def count_jobs(self, lane: Lane) -> tuple[int, int]:
        """Return a lane's numbers of waiting jobs and of jobs in flight, as the metric artdream_lane_jobs does."""
        return len(self._queues[lane]), self._in_flight[lane]

    @property
    def is_idle(self) -> bool:
        """Whether no job is waiting or in flight."""
        return not any(self._queues.values()) and not self._in_flight.total()

    def enqueue(self, job: Arrival) -> None:
        """Put a job into its lane, and wake an idle worker of the lane."""
        self._queues[job.lane].append(job)
        self._wake_worker(job.lane)

    def start_worker(self, lanes: tuple[Lane, ...], *, warm: bool = False) -> SimulatedWorker:
        """Start a worker on an empty or new node. warm: without start-up time, as it ran before the evening."""
        now = self.env.now
        empty_nodes = [
            candidate
            for candidate in self._nodes
            if candidate.empty_since is not None and now < self._release_time(candidate)
        ]
        if empty_nodes:
            node, delay = empty_nodes[-1], self._delays.warm_up_seconds
            node.empty_since = None
        else:
            node = Node(now)
            self._nodes.append(node)
            node_delay = self._rng.uniform(*self._delays.node_seconds) + self._rng.uniform(
                *self._delays.image_pull_seconds
            )
            delay = 0.0 if warm else node_delay + self._delays.warm_up_seconds
        worker = SimulatedWorker(lanes, node, now)
        self.workers.append(worker)
        self.statistics.started_workers += 1
        worker.process = self.env.process(self._run_worker(worker, delay))
        return worker

    def stop_worker(self, worker: SimulatedWorker) -> None:
        """Stop a worker: it finishes its dream within the grace period, or releases the job."""
        worker.is_terminating = True
        if worker.current_job:
            self.statistics.interrupted_workers += 1
            if worker.busy_until - self.env.now > self._delays.grace_seconds:
                self.env.process(self._interrupt_after_grace(worker))
        elif worker.wake_event:
            worker.wake_event.succeed()
            worker.wake_event = None
        elif worker.process and worker.process.is_alive and not worker.ready:
            worker.process.interrupt()

    def count_paid_node_seconds(self, end_time: float) -> float:
        """Return the total paid seconds of all nodes until `end_time`."""
        return sum(min(end_time, self._release_time(node)) - node.created_at for node in self._nodes)

    def _release_time(self, node: Node) -> float:
        return float("inf") if node.empty_since is None else node.empty_since + self._delays.scale_down_seconds

    def _wake_worker(self, lane: Lane) -> None:
        for worker in self.workers:
            if worker.wake_event and lane in worker.lanes:
                worker.wake_event.succeed()
                worker.wake_event = None
                return

    def _run_worker(self, worker: SimulatedWorker, start_delay: float) -> SimulationSteps:
        try:
            yield self.env.timeout(start_delay)
            worker.ready = True
            while not worker.is_terminating:
                job = next((self._queues[lane].popleft() for lane in worker.lanes if self._queues[lane]), None)
                if job is None:
                    worker.wake_event = self.env.event()
                    yield worker.wake_event
                else:
                    yield from self._process_job(worker, job)
        except simpy.Interrupt:
            pass
        finally:
            self.workers.remove(worker)
            self.statistics.worker_seconds += self.env.now - worker.started_at
            worker.node.empty_since = self.env.now
            for lane in worker.lanes:  # it may have been woken for a job just before it was stopped
                if self._queues[lane]:
                    self._wake_worker(lane)

    def _process_job(self, worker: SimulatedWorker, job: Arrival) -> SimulationSteps:
        started_at = self.env.now
        worker.current_job, worker.busy_until = job, started_at + job.dream_seconds
        self._in_flight[job.lane] += 1
        try:
            yield self.env.timeout(job.dream_seconds)
        except simpy.Interrupt:
            self.statistics.released_jobs += 1
            self._in_flight[job.lane] -= 1
            self.enqueue(job)
            raise
        self._in_flight[job.lane] -= 1
        worker.current_job = None
        self.statistics.wait_seconds[job.lane].append(started_at - job.arrives_at)
        self.statistics.finished_at[job.lane] = self.env.now

    def _interrupt_after_grace(self, worker: SimulatedWorker) -> SimulationSteps:
        yield self.env.timeout(self._delays.grace_seconds)
        if worker.process:
            worker.process.interrupt()
