"""Submit files by path, without a watched folder and without waiting for the files to be stable."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from producer.decoding.convert import Photo
from producer.decoding.pool import DecodeResult, DecoderPool, limits_from_settings
from producer.detection.stability import read_file_version
from producer.ledger import File
from producer.outbox.submission import Outcome, SubmissionClient, Unavailable
from shared.jobs.events import Stage
from shared.jobs.job import Job, Lane
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

T = TypeVar("T")

#: Decoder processes, and files submitted to them before the first result is awaited; the latter bounds memory.
DECODER_COUNT, MAX_PENDING_FILES = 2, 4


@dataclass(frozen=True)
class FileSubmission:
    """Result of submitting one file with one recipe."""

    path: Path
    recipe: str
    seed: int
    outcome: Outcome
    #: None for a refused file.
    job_id: str | None
    #: Why the file was refused, as a predicate that follows its name (“is damaged”); "" if it was not refused.
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
    """Submit one job for each picture file and recipe, and yield each result. The caller must consume the iterator.

    recipes: recipes or their names; the installation's first recipe if empty. submitter: submitters take turns in the
    live lane; at most 80 characters. settings: read from the environment by default. on_unavailable: called each time
    the store or the broker is unavailable; when it returns, the call is retried.

    Memory use is bounded by a few photos, whatever the number of paths. A file that was sent before and has not changed
    is not read again. Files are never modified, and refused files are only reported, not quarantined. Repeating a call
    is safe, however the first one ended. Raises Unavailable if there is no `on_unavailable`, DecoderUnavailable, and
    ArtDreamError for an unknown recipe.
    """
    settings = settings or Settings.read()
    loaded_recipes = [
        load_recipe(recipe) if isinstance(recipe, str) else recipe for recipe in recipes or settings.recipes[:1]
    ]
    with (
        open_broker_tunnel(settings) as settings,
        SubmissionClient(settings) as submission_client,
        DecoderPool(DECODER_COUNT, limits_from_settings(settings, loaded_recipes)) as decoder_pool,
    ):
        call = _SubmitCall(submission_client, loaded_recipes, seed, lane, submitter, on_unavailable)
        pending: deque[tuple[Path, File, Future[DecodeResult] | None]] = deque()
        try:
            for path in map(Path, paths):
                if (version := read_file_version(path)) is None:
                    yield from call.refuse_file(path, _describe_missing_file(path))
                    continue
                file = File(path.absolute(), version)
                pending.append(
                    (path, file, None if call.is_submitted(file) else decoder_pool.submit(path, allow_truncated=True))
                )
                if len(pending) == MAX_PENDING_FILES:
                    yield from call.submit_file(*pending.popleft())
            while pending:
                yield from call.submit_file(*pending.popleft())
        finally:
            for _, _, future in pending:
                if future is not None:
                    future.cancel()


def _describe_missing_file(path: Path) -> str:
    """Return why there is no file at a path, as a predicate."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError):
        return "does not exist"
    except OSError as error:
        return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
    except ValueError:
        return "is no path, as it contains a NUL character: name one file in each line"
    return "is no file"


class _SubmitCall:
    """State of one call of `submit`."""

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
        """Return whether all jobs of a file are queued, running or completed, without reading the file."""
        photo_id = self._submission_client.ledger.find_sent_photo_id(file)
        return photo_id is not None and all(
            self._retry_while_unavailable(lambda job=job: self._submission_client.is_submitted(job))  # type: ignore[misc]
            for job in self._build_jobs(photo_id)
        )

    def submit_file(self, path: Path, file: File, future: "Future[DecodeResult] | None") -> Iterator[FileSubmission]:
        """Submit the jobs of a file, and yield their results. future: None if all its jobs were submitted before."""
        if future is None:
            photo_id = self._submission_client.ledger.find_sent_photo_id(file) or ""
            for job in self._build_jobs(photo_id):
                yield self._build_result(path, job, Outcome.KNOWN)
            return
        try:
            decoded = future.result()
        except FileNotFoundError:
            yield from self.refuse_file(path, "does not exist")
            return
        if not isinstance(decoded.photo_or_error, Photo):
            yield from self.refuse_file(path, str(decoded.photo_or_error))
            return
        photo = decoded.photo_or_error
        for job in self._build_jobs(decoded.photo_id):
            job = job.model_copy(update={"stages": {Stage.CONVERT: decoded.seconds}})
            result = self._retry_while_unavailable(
                lambda job=job: self._submission_client.submit(job, photo.jpeg, motion=photo.motion)  # type: ignore[misc]
            )
            self._submission_client.ledger.record_submitted_job(job.photo_id, job.id)
            yield self._build_result(path, job, result.outcome)
        if read_file_version(path) == file.version:
            self._submission_client.ledger.record_sent_file(file, decoded.photo_id)

    def refuse_file(self, path: Path, reason: str) -> Iterator[FileSubmission]:
        """Yield a refusal of a file for each recipe."""
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
            except Unavailable as error:
                if self._on_unavailable is None:
                    raise
                self._on_unavailable(error)
