"""Progress bars of long-running commands; shown on a terminal only."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def show_progress_bars(console: Console, *columns: ProgressColumn) -> Iterator[Progress]:
    """Open a context with an empty set of progress bars, which are erased at its end.

    columns: after the description and the bar; by default the percentage and the remaining time.
    """
    columns = columns or (TaskProgressColumn(), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description:8}"),
        BarColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


@contextmanager
def show_progress_bar(description: str, console: Console) -> Iterator[Callable[[float], None]]:
    """Open a context with one progress bar. Yields a function that sets the completed fraction, 0 to 1."""
    with show_progress_bars(console) as progress:
        task = progress.add_task(description, total=1.0)
        yield lambda fraction: progress.update(task, completed=fraction)
