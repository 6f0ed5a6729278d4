"""Batches on the terminal: sent, waited for, collected."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from producer.api import submit
from producer.batch import Batch, BatchItemResult, collect_dreams
from producer.outbox.ledger import Ledger
from producer.outbox.submission import Outcome, Unavailable
from producer.path_arguments import expand_path_arguments
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.settings import Settings

#: Jobs of a batch that are told one by one.
MAX_LISTED_JOBS = 20

#: Seconds between two tries while store or broker is away.
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
    """Send everything that is meant by names, and wait for it if asked to.

    Raises ArtDreamError where a file was refused or, having waited, a job has no dream.
    """
    paths = list(expand_path_arguments(path_arguments))
    if not paths:
        raise ArtDreamError("There is no file to send in what you named.")
    recipes = recipes or settings.recipes[:1]
    ledger = Ledger(settings.data)
    batch, told, count = Batch.create(ledger), len(paths) * len(recipes) <= MAX_LISTED_JOBS, dict.fromkeys(Outcome, 0)
    refused: list[str] = []
    try:
        with _show_progress(console, "sending", len(paths) * len(recipes)) as (progress, task):
            patience = _RetryNotice(progress, task, "sending")
            sendings = submit(paths, recipes, seed=seed, lane=lane, settings=settings, on_unavailable=patience.wait)
            for sent in sendings:
                patience.clear()
                batch.add(sent)
                count[sent.outcome] += 1
                if sent.job_id is None:
                    refused.append(f"{sent.path} {sent.reason}")
                if told:
                    progress.console.print(str(sent), soft_wrap=True, markup=False)
                _advance(progress, task, failed=len(refused))
        counted = ", ".join(f"{number} {outcome}" for outcome, number in count.items() if number)
        console.print(f"Batch {batch.name}: {counted}.", soft_wrap=True)
        if wait:
            collect_batch(batch.name, settings, console, wait=True, output_folder=output_folder)
    except KeyboardInterrupt:
        _raise_interrupted(batch.name, output_folder)
    if refused:
        raise ArtDreamError(
            _format_failures(
                f"{len(refused)} of {sum(count.values())} could not be sent", refused, already_printed=told
            )
        )


def collect_batch(
    batch_name: str, settings: Settings, console: Console, *, wait: bool, output_folder: Path | None
) -> None:
    """Put the dreams of a batch into a folder, waiting for those under way if asked to.

    Raises ArtDreamError where a job has failed.
    """
    pieces = Batch.find(Ledger(settings.data), batch_name).list_items()
    failed: list[str] = []
    dreams = 0
    try:
        with _show_progress(console, "dreaming", len(pieces)) as (progress, task):
            patience = _RetryNotice(progress, task, "dreaming")
            for done in _collect_failures(
                collect_dreams(pieces, settings, output_folder, wait=wait, on_unavailable=patience.wait), failed
            ):
                patience.clear()
                dreams += not done.reason
                _advance(progress, task, failed=len(failed))
    except KeyboardInterrupt:
        _raise_interrupted(batch_name, output_folder)
    place = f" in {output_folder}" if output_folder else ""
    console.print(f"Batch {batch_name}: {dreams} of {len(pieces)} dreams{place}.", soft_wrap=True)
    if left := len(pieces) - dreams - len(failed):
        console.print(f"{left} are still on their way: come back with the same command, or add --wait.", soft_wrap=True)
    if failed:
        raise ArtDreamError(
            _format_failures(f"{len(failed)} of {len(pieces)} have no dream", failed, already_printed=False)
        )


def _collect_failures(results: Iterator[BatchItemResult], failures: list[str]) -> Iterator[BatchItemResult]:
    for done in results:
        if done.reason:
            failures.append(f"{done.item.path} ({done.item.recipe}) {done.reason}")
        yield done


def _raise_interrupted(batch_name: str, output_folder: Path | None) -> None:
    place = f" --out {output_folder}" if output_folder else " --out FOLDER"
    raise ArtDreamError(
        f"Stopped watching; the jobs go on. Collect their dreams with: artdream collect {batch_name}{place}"
    )


def _format_failures(summary: str, failures: list[str], *, already_printed: bool) -> str:
    return f"{summary}." if already_printed else "\n  ".join([f"{summary}:", *failures])


class _RetryNotice:
    """Says that something is away for as long as it is."""

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
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task(description, total=total, rate="", failed="")


def _advance(progress: Progress, task: TaskID, *, failed: int) -> None:
    speed = progress.tasks[0].speed
    progress.update(
        task,
        advance=1,
        rate=f"{speed:.1f} /s" if speed else "",
        failed=f"{failed} failed" if failed else "",
    )
