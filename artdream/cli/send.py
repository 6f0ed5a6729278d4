"""`artdream send` and `artdream collect`: submit a batch of photos, and collect its dreams."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from artdream.cli.options import InterruptedCommand
from artdream.cli.progress import show_progress_bars
from producer.api import submit
from producer.batch import Batch, BatchItemResult, collect_dreams
from producer.ledger import Ledger
from producer.outbox.submission import Outcome, Unavailable
from producer.path_arguments import expand_path_arguments
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.settings import Settings

#: Largest batch whose jobs are printed individually.
MAX_LISTED_JOBS = 20

#: Seconds between two attempts while the store or the broker is unavailable.
RETRY_DELAY_SECONDS = 1.0


def send_batch(
    path_arguments: Sequence[str],
    recipes: Sequence[str],
    settings: Settings,
    console: Console,
    *,
    seed: int,
    lane: Lane,
    wait: bool,
    output_folder: Path | None,
) -> None:
    """Send all files that the path arguments name as one batch; with `wait`, also collect their dreams.

    recipes: names. output_folder: for the dreams, if any. Raises ArtDreamError if there is no file, a file was refused
    or, with `wait`, a job has no dream; InterruptedCommand on Ctrl-C.
    """
    paths = list(expand_path_arguments(path_arguments))
    if not paths:
        raise ArtDreamError("The given paths contain no files.")
    ledger = Ledger(settings.data)
    batch, is_listed = Batch.create(ledger), len(paths) * len(recipes) <= MAX_LISTED_JOBS
    outcome_counts = dict.fromkeys(Outcome, 0)
    refusals: list[str] = []
    try:
        with _show_progress(console, "sending", len(paths) * len(recipes)) as (progress, task):
            retry_notice = _RetryNotice(progress, task, "sending")
            submissions = submit(
                paths, recipes, seed=seed, lane=lane, settings=settings, on_unavailable=retry_notice.wait
            )
            for submission in submissions:
                retry_notice.clear()
                batch.add(submission)
                outcome_counts[submission.outcome] += 1
                if submission.job_id is None:
                    refusals.append(f"{submission.path} {submission.reason}")
                if is_listed:
                    progress.console.print(str(submission), soft_wrap=True, markup=False)
                _advance(progress, task, failed=len(refusals))
        summary = ", ".join(f"{count} {outcome}" for outcome, count in outcome_counts.items() if count)
        console.print(f"Batch {batch.name}: {summary}.", soft_wrap=True)
        if wait:
            collect_batch(batch.name, settings, console, wait=True, output_folder=output_folder)
    except KeyboardInterrupt:
        _raise_interrupted(batch.name, output_folder)
    if refusals:
        raise ArtDreamError(
            _format_failures(
                f"{len(refusals)} of {sum(outcome_counts.values())} could not be sent",
                refusals,
                already_printed=is_listed,
            )
        )


def collect_batch(
    batch_name: str, settings: Settings, console: Console, *, wait: bool, output_folder: Path | None
) -> None:
    """Write the dreams of a batch to a folder, if any; with `wait`, wait for the unfinished ones.

    Raises ArtDreamError if there is no such batch, or an item of it has no dream; InterruptedCommand on Ctrl-C.
    """
    items = Batch.find(Ledger(settings.data), batch_name).list_items()
    failures: list[str] = []
    dream_count = 0
    try:
        with _show_progress(console, "dreaming", len(items)) as (progress, task):
            retry_notice = _RetryNotice(progress, task, "dreaming")
            for result in _collect_failures(
                collect_dreams(items, settings, output_folder, wait=wait, on_unavailable=retry_notice.wait), failures
            ):
                retry_notice.clear()
                dream_count += not result.reason
                _advance(progress, task, failed=len(failures))
    except KeyboardInterrupt:
        _raise_interrupted(batch_name, output_folder)
    place = f" in {output_folder}" if output_folder else ""
    console.print(f"Batch {batch_name}: {dream_count} of {len(items)} dreams{place}.", soft_wrap=True)
    if unfinished_count := len(items) - dream_count - len(failures):
        console.print(
            f"{unfinished_count} are not finished yet: run the command again later, or add --wait.",
            soft_wrap=True,
        )
    if failures:
        raise ArtDreamError(
            _format_failures(f"{len(failures)} of {len(items)} have no dream", failures, already_printed=False)
        )


def _collect_failures(results: Iterator[BatchItemResult], failures: list[str]) -> Iterator[BatchItemResult]:
    """Yield all results, and append a sentence to `failures` for each one without a dream."""
    for result in results:
        if result.reason:
            failures.append(f"{result.item.path} ({result.item.recipe}) {result.reason}")
        yield result


def _raise_interrupted(batch_name: str, output_folder: Path | None) -> None:
    out_option = f" --out {output_folder}" if output_folder else " --out FOLDER"
    raise InterruptedCommand(
        f"Interrupted; the jobs continue. Collect their dreams with: artdream collect {batch_name}{out_option}"
    )


def _format_failures(summary: str, failures: list[str], *, already_printed: bool) -> str:
    return f"{summary}." if already_printed else "\n  ".join([f"{summary}:", *failures])


class _RetryNotice:
    """Shows on the progress bar that the store or the broker is unavailable, and delays the next attempt."""

    def __init__(self, progress: Progress, task: TaskID, description: str) -> None:
        self._progress, self._task, self._description = progress, task, description
        self._waiting = False

    def wait(self, error: Unavailable) -> None:
        if not self._waiting:
            self._progress.console.print(f"{error} Waiting for it.", soft_wrap=True, markup=False)
        self._waiting = True
        self._progress.update(self._task, description="waiting")
        time.sleep(RETRY_DELAY_SECONDS)

    def clear(self) -> None:
        if self._waiting:
            self._progress.update(self._task, description=self._description)
        self._waiting = False


@contextmanager
def _show_progress(console: Console, description: str, total: int) -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
    )
    with show_progress_bars(console, *columns) as progress:
        yield progress, progress.add_task(description, total=total, rate="", failed="")


def _advance(progress: Progress, task: TaskID, *, failed: int) -> None:
    speed = progress.tasks[0].speed
    progress.update(
        task,
        advance=1,
        rate=f"{speed:.1f} /s" if speed else "",
        failed=f"{failed} failed" if failed else "",
    )
