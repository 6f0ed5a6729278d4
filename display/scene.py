"""The scene: what there is to show, made from events and sidecars. It holds no connection and reads no clock."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from display.forecast import Forecast
from shared.events import Accepted, Cancelled, Completed, Failed, Progress, Recorded, Started
from shared.jobs import Lane
from shared.names import photo_name, thumb_name
from shared.sidecar import Sidecar

#: Dreams that are remembered: more than fit the strip of the widest wall.
DREAMS = 24

#: Jobs that are remembered while they wait; a batch may be larger, and then its count stops here.
WAITING = 10_000

#: Jobs that are remembered while a worker dreams them.
RUNNING = 100

#: Seconds without an event after which a running job is taken for lost and no longer shown.
SILENCE = 60.0


@dataclass(frozen=True)
class Dream:
    """A finished dream. `photo`, `dream` and `thumb` are object names, `at` is in epoch seconds."""

    job_id: str
    title: str
    photo: str
    dream: str
    thumb: str
    at: float
    #: What the recipe asked for, as (class, probability in the photo, probability in the dream).
    verdicts: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def of(cls, sidecar: Sidecar) -> "Dream":
        """Read what the display needs from a sidecar."""
        return cls.announced(sidecar.completion(), sidecar.completed_at)

    @classmethod
    def announced(cls, event: Completed, at: float) -> "Dream":
        """Read what the display needs from a completion."""
        verdicts = tuple((one.name, one.photo, one.dream) for one in event.verdicts)
        thumb = thumb_name(event.job_id)
        return cls(event.job_id, event.title, event.photo, event.dream, thumb, at, verdicts)


@dataclass(frozen=True)
class Running:
    """A job that a worker dreams. `frame` is the newest frame's object name, `heard` the time of the last event."""

    job_id: str
    title: str
    photo: str
    frame: str | None
    fraction: float
    heard: float


@dataclass(frozen=True)
class Change:
    """What viewers are told: a kind, and a body that becomes JSON."""

    kind: str
    body: dict[str, object]


class Scene:
    """The newest dreams, the jobs being dreamt and the number of those that wait."""

    def __init__(self) -> None:
        self._dreams: dict[str, Dream] = {}
        self._running: OrderedDict[str, Running] = OrderedDict()
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._forecast = Forecast()

    def remember(self, dreams: Iterable[Dream]) -> None:
        """Add dreams of the past; those known already stay as they are."""
        for dream in dreams:
            self._dreams.setdefault(dream.job_id, dream)
        self._forget_old()

    def apply(self, recorded: Recorded) -> Change | None:
        """Take in one event; return what viewers must be told, None where nothing they see has changed."""
        match recorded.event:
            case Accepted() as event:
                # A batch is the operator's; guests wait for guests.
                return self._wait(event.job_id, recorded.at) if event.lane == Lane.LIVE else None
            case Started() as event:
                self._forecast.start(event.job_id, event.worker, recorded.at)
                job = Running(event.job_id, event.title, photo_name(event.photo_id), None, 0.0, recorded.at)
                return self._run("started", job)
            case Progress() as event:
                known = self._running.get(event.job_id)
                job = known or Running(event.job_id, "", photo_name(event.photo_id), None, 0.0, recorded.at)
                return self._run("frame", replace(job, frame=event.frame, fraction=event.fraction, heard=recorded.at))
            case Completed() as event:
                self._end(event.job_id, recorded.at, dreamt=True)
                dream = Dream.announced(event, recorded.at)
                self._dreams[event.job_id] = dream
                self._forget_old()
                return Change("dream", asdict(dream) | self._queue(recorded.at))
            case Failed() | Cancelled() as event:
                self._end(event.job_id, recorded.at, dreamt=False)
                return Change("ended", {"job_id": event.job_id} | self._queue(recorded.at))
            case _:  # refused files are the operator's, not the guest's
                return None

    def snapshot(self, now: float) -> dict[str, object]:
        """Return everything there is to show, newest dream first, jobs in the order in which they were started.

        `now` is in epoch seconds of the broker's clock; `silent` tells how long ago a job was heard of.
        """
        return {
            "dreams": [asdict(dream) for dream in self._newest()],
            "running": [
                {**asdict(job), "silent": max(0.0, now - job.heard)}
                for job in self._running.values()
                if now - job.heard < SILENCE
            ],
        } | self._queue(now)

    def _queue(self, now: float) -> dict[str, object]:
        """Tell how many photos wait, and in how many seconds the last of them will have its dream, None if unknown."""
        return {"waiting": len(self._waiting), "seconds": self._forecast.seconds(len(self._waiting), now)}

    def _wait(self, job_id: str, now: float) -> Change | None:
        before = len(self._waiting)
        if job_id not in self._running:
            self._waiting[job_id] = None
        _keep_newest(self._waiting, WAITING)
        return Change("waiting", self._queue(now)) if len(self._waiting) != before else None

    def _run(self, kind: str, job: Running) -> Change:
        self._waiting.pop(job.job_id, None)
        self._running[job.job_id] = job
        if kind == "started":
            self._running.move_to_end(job.job_id)
        _keep_newest(self._running, RUNNING)
        return Change(kind, asdict(job) | self._queue(job.heard))

    def _end(self, job_id: str, now: float, *, dreamt: bool) -> None:
        self._forecast.end(job_id, now, dreamt=dreamt)
        self._waiting.pop(job_id, None)
        self._running.pop(job_id, None)

    def _newest(self) -> list[Dream]:
        return sorted(self._dreams.values(), key=lambda dream: dream.at, reverse=True)

    def _forget_old(self) -> None:
        self._dreams = {dream.job_id: dream for dream in self._newest()[:DREAMS]}


def _keep_newest(jobs: OrderedDict[str, Running] | OrderedDict[str, None], most: int) -> None:
    while len(jobs) > most:
        jobs.popitem(last=False)
