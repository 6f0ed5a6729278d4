"""Send files that a person names, without a folder and without waiting for them to settle."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from producer.convert import Photo
from producer.intake import Intake, Outcome
from producer.settling import Attempt, attempt
from shared.events import Stage
from shared.jobs import Lane
from shared.recipe import Recipe
from shared.settings import Settings

#: Files decoded at a time, and files begun before the first of them is through.
DECODERS, AHEAD = 2, 4


@dataclass(frozen=True)
class Sent:
    """What became of one file."""

    path: Path
    outcome: Outcome
    #: The job, None for a refused file.
    job_id: str | None
    #: Why the file was refused; goes on where its name stops. "" for any other.
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.reason}" if self.job_id is None else f"{self.path}: job {self.job_id} {self.outcome}"


def send(
    paths: Iterable[Path], settings: Settings, recipe: Recipe, *, seed: int = 0, lane: Lane = Lane.LIVE
) -> Iterator[Sent]:
    """Submit one job for each file, and yield what became of it, in order, as it goes: consume the iterator.

    Any number of paths takes the memory of a few photos. Files are not touched, refused ones not set aside: whoever
    named them is told. Raises Away (an ArtDreamError) while store or broker is away; sending the same again is safe.
    """
    begun: deque[tuple[Path, Future[Attempt]]] = deque()
    with Intake(settings) as intake, ThreadPoolExecutor(DECODERS, thread_name_prefix="decoder") as decoders:
        try:
            for path in paths:
                begun.append((path, decoders.submit(attempt, path)))
                if len(begun) == AHEAD:
                    yield _through(*begun.popleft(), intake, recipe, seed, lane)
            while begun:
                yield _through(*begun.popleft(), intake, recipe, seed, lane)
        finally:
            for _, future in begun:
                future.cancel()


def _through(path: Path, future: "Future[Attempt]", intake: Intake, recipe: Recipe, seed: int, lane: Lane) -> Sent:
    try:
        done = future.result()
    except FileNotFoundError:
        return Sent(path, Outcome.REFUSED, None, "does not exist")
    if not isinstance(done.result, Photo):
        return Sent(path, Outcome.REFUSED, None, str(done.result))
    stages = {Stage.CONVERT: done.seconds}
    taken = intake.take(done.result, recipe, seed=seed, lane=lane, stages=stages)
    return Sent(path, taken.outcome, taken.job.id)
