"""Batches on the terminal: sent, waited for, collected."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from producer.api import submit
from producer.batch import Batch, Collected, collect
from producer.outbox.ledger import Ledger
from producer.outbox.submission import Away, Outcome
from producer.path_arguments import selected
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.settings import Settings

#: Jobs of a batch that are told one by one.
TOLD = 20

#: Seconds between two tries while store or broker is away.
PAUSE = 1.0


def send_batch(
    names: Sequence[str],
    recipes: Sequence[str],
    settings: Settings,
    console: Console,
    *,
    seed: int,
    lane: Lane,
    wait: bool,
    out: Path | None,
) -> None:
    """Send everything that is meant by names, and wait for it if asked to.

    Raises ArtDreamError where a file was refused or, having waited, a job has no dream.
    """
    paths = list(selected(names))
    if not paths:
        raise ArtDreamError("There is no file to send in what you named.")
    recipes = recipes or settings.recipes[:1]
    ledger = Ledger(settings.data)
    batch, told, count = Batch.begin(ledger), len(paths) * len(recipes) <= TOLD, dict.fromkeys(Outcome, 0)
    refused: list[str] = []
    try:
        with _progress(console, "sending", len(paths) * len(recipes)) as (progress, task):
            patience = _Patience(progress, task, "sending")
            sendings = submit(paths, recipes, seed=seed, lane=lane, settings=settings, on_away=patience.wait)
            for sent in sendings:
                patience.over()
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
            collect_batch(batch.name, settings, console, wait=True, out=out)
    except KeyboardInterrupt:
        _interrupted(batch.name, out)
    if refused:
        raise ArtDreamError(_listing(f"{len(refused)} of {sum(count.values())} could not be sent", refused, told=told))


def collect_batch(name: str, settings: Settings, console: Console, *, wait: bool, out: Path | None) -> None:
    """Put the dreams of a batch into a folder, waiting for those under way if asked to.

    Raises ArtDreamError where a job has failed.
    """
    pieces = Batch.find(Ledger(settings.data), name).pieces()
    failed: list[str] = []
    dreams = 0
    try:
        with _progress(console, "dreaming", len(pieces)) as (progress, task):
            patience = _Patience(progress, task, "dreaming")
            for done in _ended(collect(pieces, settings, out, wait=wait, on_away=patience.wait), failed):
                patience.over()
                dreams += not done.reason
                _advance(progress, task, failed=len(failed))
    except KeyboardInterrupt:
        _interrupted(name, out)
    place = f" in {out}" if out else ""
    console.print(f"Batch {name}: {dreams} of {len(pieces)} dreams{place}.", soft_wrap=True)
    if left := len(pieces) - dreams - len(failed):
        console.print(f"{left} are still on their way: come back with the same command, or add --wait.", soft_wrap=True)
    if failed:
        raise ArtDreamError(_listing(f"{len(failed)} of {len(pieces)} have no dream", failed, told=False))


def _ended(collected: Iterator[Collected], failed: list[str]) -> Iterator[Collected]:
    for done in collected:
        if done.reason:
            failed.append(f"{done.piece.path} ({done.piece.recipe}) {done.reason}")
        yield done


def _interrupted(name: str, out: Path | None) -> None:
    place = f" --out {out}" if out else " --out FOLDER"
    raise ArtDreamError(f"Stopped watching; the jobs go on. Collect their dreams with: artdream collect {name}{place}")


def _listing(sentence: str, faults: list[str], *, told: bool) -> str:
    return f"{sentence}." if told else "\n  ".join([f"{sentence}:", *faults])


class _Patience:
    """Says that something is away for as long as it is."""

    def __init__(self, progress: Progress, task: TaskID, doing: str) -> None:
        self._progress, self._task, self._doing = progress, task, doing
        self._waiting = False

    def wait(self, away: Away) -> None:
        if not self._waiting:
            self._progress.console.print(f"{away} Waiting for it.", soft_wrap=True, markup=False)
        self._waiting = True
        self._progress.update(self._task, description="waiting")
        time.sleep(PAUSE)

    def over(self) -> None:
        if self._waiting:
            self._progress.update(self._task, description=self._doing)
        self._waiting = False


@contextmanager
def _progress(console: Console, doing: str, total: int) -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}", style="red"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task(doing, total=total, rate="", failed="")


def _advance(progress: Progress, task: TaskID, *, failed: int) -> None:
    speed = progress.tasks[0].speed
    progress.update(
        task,
        advance=1,
        rate=f"{speed:.1f} /s" if speed else "",
        failed=f"{failed} failed" if failed else "",
    )
