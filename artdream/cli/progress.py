"""Bars that show how far something long has come; on a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def show_progress_bars(console: Console) -> Iterator[Progress]:
    """Enter a context with bars, which leave nothing behind."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


@contextmanager
def show_progress_bar(description: str, console: Console) -> Iterator[Callable[[float], None]]:
    """Enter a context with one bar, and what is to be told the share that is done."""
    with show_progress_bars(console) as bars:
        task = bars.add_task(description, total=1.0)
        yield lambda share: bars.update(task, completed=share)
