"""Send files that a person or a program names, without a folder and without waiting for them to settle."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from producer.decoding.convert import Photo
from producer.decoding.pool import Attempt, Decoders, settings_limits
from producer.detection.stability import mark_of
from producer.outbox.ledger import File
from producer.outbox.submission import Away, Intake, Outcome
from shared.jobs.events import Stage
from shared.jobs.job import Job, Lane
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

T = TypeVar("T")

#: Files decoded at a time, and files begun before the first of them is through.
DECODERS, AHEAD = 2, 4


@dataclass(frozen=True)
class Sent:
    """What became of one file with one recipe."""

    path: Path
    recipe: str
    seed: int
    outcome: Outcome
    #: The job, None for a refused file.
    job_id: str | None
    #: Why the file was refused; goes on where its name stops. "" for any other.
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.path} {self.reason}" if self.job_id is None else f"{self.path}: job {self.job_id} {self.outcome}"


def submit(
    paths: Iterable[Path | str],
    recipes: Sequence[Recipe | str] = (),
    *,
    seed: int = 0,
    lane: Lane = Lane.BATCH,
    submitter: str = "",
    settings: Settings | None = None,
    on_away: Callable[[Away], None] | None = None,
) -> Iterator[Sent]:
    """Submit one job for each picture file and recipe, and yield what became of it, as it goes: consume the iterator.

    recipes: names, or recipes; the first of the installation's own where there is none. submitter: for turns in the
    live lane, at most 80 letters. settings: those of the environment by default. on_away: called whenever store or
    broker is away; where it returns, the same is tried again.

    Any number of paths takes the memory of a few photos. A file that was sent before and has not changed is not even
    read. Files are not touched, refused ones not set aside: whoever named them is told. Sending the same again is safe,
    whatever happened the first time. Raises Away, without on_away, and ArtDreamError for an unknown recipe.
    """
    settings = settings or Settings.read()
    chosen = [load_recipe(one) if isinstance(one, str) else one for one in recipes or settings.recipes[:1]]
    with (
        open_broker_tunnel(settings) as settings,
        Intake(settings) as intake,
        Decoders(DECODERS, settings_limits(settings, chosen)) as decoders,
    ):
        sending = _Sending(intake, chosen, seed, lane, submitter, on_away)
        begun: deque[tuple[Path, File, Future[Attempt] | None]] = deque()
        try:
            for path in map(Path, paths):
                if (mark := mark_of(path)) is None:
                    yield from sending.refused(path, "is no file" if path.exists() else "does not exist")
                    continue
                file = File(path.absolute(), mark)
                begun.append((path, file, None if sending.knows(file) else decoders.submit(path, cut=True)))
                if len(begun) == AHEAD:
                    yield from sending.sent(*begun.popleft())
            while begun:
                yield from sending.sent(*begun.popleft())
        finally:
            for _, _, future in begun:
                if future is not None:
                    future.cancel()


class _Sending:
    """One call of `submit`."""

    def __init__(
        self,
        intake: Intake,
        recipes: Sequence[Recipe],
        seed: int,
        lane: Lane,
        submitter: str,
        on_away: Callable[[Away], None] | None,
    ) -> None:
        self._intake = intake
        self._recipes = recipes
        self._seed, self._lane, self._submitter = seed, lane, submitter
        self._on_away = on_away

    def knows(self, file: File) -> bool:
        """Tell whether all jobs of a file are on their way or done, without reading it."""
        photo = self._intake.ledger.sent(file)
        return photo is not None and all(
            self._insist(lambda job=job: self._intake.knows(job))  # type: ignore[misc]
            for job in self._jobs(photo)
        )

    def sent(self, path: Path, file: File, future: "Future[Attempt] | None") -> Iterator[Sent]:
        """Submit the jobs of a file; no future for one that is known."""
        if future is None:
            photo = self._intake.ledger.sent(file) or ""
            for job in self._jobs(photo):
                yield self._told(path, job, Outcome.KNOWN)
            return
        try:
            done = future.result()
        except FileNotFoundError:
            yield from self.refused(path, "does not exist")
            return
        if not isinstance(done.result, Photo):
            yield from self.refused(path, str(done.result))
            return
        jpeg = done.result.jpeg
        for job in self._jobs(done.photo_id):
            job = job.model_copy(update={"stages": {Stage.CONVERT: done.seconds}})
            taken = self._insist(lambda job=job: self._intake.take(job, jpeg))  # type: ignore[misc]
            self._intake.ledger.mark_submitted(job.photo_id, job.id)
            yield self._told(path, job, taken.outcome)
        if mark_of(path) == file.mark:
            self._intake.ledger.mark_sent(file, done.photo_id)

    def refused(self, path: Path, reason: str) -> Iterator[Sent]:
        """Tell that a file becomes no photo, for each recipe."""
        for recipe in self._recipes:
            yield Sent(path, recipe.name, self._seed, Outcome.REFUSED, None, reason)

    def _jobs(self, photo: str) -> Iterator[Job]:
        for recipe in self._recipes:
            yield Job(photo_id=photo, recipe=recipe, seed=self._seed, lane=self._lane, submitter=self._submitter)

    def _told(self, path: Path, job: Job, outcome: Outcome) -> Sent:
        return Sent(path, job.recipe.name, job.seed, outcome, job.id)

    def _insist(self, action: Callable[[], T]) -> T:
        while True:
            try:
                return action()
            except Away as away:
                if self._on_away is None:
                    raise
                self._on_away(away)
