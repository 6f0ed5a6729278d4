"""Send files that a person or a program names, without a folder and without waiting for them to settle."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from producer.decoding.convert import Photo
from producer.decoding.pool import DecodeResult, DecoderPool, limits_from_settings
from producer.detection.stability import read_file_version
from producer.outbox.ledger import File
from producer.outbox.submission import Outcome, SubmissionClient, Unavailable
from shared.jobs.events import Stage
from shared.jobs.job import Job, Lane
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

T = TypeVar("T")

#: Files decoded at a time, and files begun before the first of them is through.
DECODER_COUNT, MAX_PENDING_FILES = 2, 4


@dataclass(frozen=True)
class FileSubmission:
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
    on_unavailable: Callable[[Unavailable], None] | None = None,
) -> Iterator[FileSubmission]:
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
        SubmissionClient(settings) as intake,
        DecoderPool(DECODER_COUNT, limits_from_settings(settings, chosen)) as decoders,
    ):
        sending = _SubmitCall(intake, chosen, seed, lane, submitter, on_unavailable)
        begun: deque[tuple[Path, File, Future[DecodeResult] | None]] = deque()
        try:
            for path in map(Path, paths):
                if (mark := read_file_version(path)) is None:
                    yield from sending.refuse_file(path, "is no file" if path.exists() else "does not exist")
                    continue
                file = File(path.absolute(), mark)
                begun.append(
                    (path, file, None if sending.is_submitted(file) else decoders.submit(path, allow_truncated=True))
                )
                if len(begun) == MAX_PENDING_FILES:
                    yield from sending.submit_file(*begun.popleft())
            while begun:
                yield from sending.submit_file(*begun.popleft())
        finally:
            for _, _, future in begun:
                if future is not None:
                    future.cancel()


class _SubmitCall:
    """One call of `submit`."""

    def __init__(
        self,
        submission_client: SubmissionClient,
        recipes: Sequence[Recipe],
        seed: int,
        lane: Lane,
        submitter: str,
        on_unavailable: Callable[[Unavailable], None] | None,
    ) -> None:
        self._submission_client = submission_client
        self._recipes = recipes
        self._seed, self._lane, self._submitter = seed, lane, submitter
        self._on_unavailable = on_unavailable

    def is_submitted(self, file: File) -> bool:
        """Tell whether all jobs of a file are on their way or done, without reading it."""
        photo = self._submission_client.ledger.find_sent_photo_id(file)
        return photo is not None and all(
            self._retry_while_unavailable(lambda job=job: self._submission_client.is_submitted(job))  # type: ignore[misc]
            for job in self._build_jobs(photo)
        )

    def submit_file(self, path: Path, file: File, future: "Future[DecodeResult] | None") -> Iterator[FileSubmission]:
        """Submit the jobs of a file; no future for one that is known."""
        if future is None:
            photo = self._submission_client.ledger.find_sent_photo_id(file) or ""
            for job in self._build_jobs(photo):
                yield self._build_result(path, job, Outcome.KNOWN)
            return
        try:
            done = future.result()
        except FileNotFoundError:
            yield from self.refuse_file(path, "does not exist")
            return
        if not isinstance(done.photo_or_error, Photo):
            yield from self.refuse_file(path, str(done.photo_or_error))
            return
        jpeg = done.photo_or_error.jpeg
        for job in self._build_jobs(done.photo_id):
            job = job.model_copy(update={"stages": {Stage.CONVERT: done.seconds}})
            taken = self._retry_while_unavailable(lambda job=job: self._submission_client.submit(job, jpeg))  # type: ignore[misc]
            self._submission_client.ledger.record_submitted_job(job.photo_id, job.id)
            yield self._build_result(path, job, taken.outcome)
        if read_file_version(path) == file.version:
            self._submission_client.ledger.record_sent_file(file, done.photo_id)

    def refuse_file(self, path: Path, reason: str) -> Iterator[FileSubmission]:
        """Tell that a file becomes no photo, for each recipe."""
        for recipe in self._recipes:
            yield FileSubmission(path, recipe.name, self._seed, Outcome.REFUSED, None, reason)

    def _build_jobs(self, photo_id: str) -> Iterator[Job]:
        for recipe in self._recipes:
            yield Job(photo_id=photo_id, recipe=recipe, seed=self._seed, lane=self._lane, submitter=self._submitter)

    def _build_result(self, path: Path, job: Job, outcome: Outcome) -> FileSubmission:
        return FileSubmission(path, job.recipe.name, job.seed, outcome, job.id)

    def _retry_while_unavailable(self, action: Callable[[], T]) -> T:
        while True:
            try:
                return action()
            except Unavailable as away:
                if self._on_unavailable is None:
                    raise
                self._on_unavailable(away)
