"""Console report of `artdream up`: a summary at the start, then one line for each dream and problem."""

import contextlib
import time
from importlib.metadata import version

from rich.console import Console
from rich.markup import escape

from shared.jobs.events import Cancelled, Completed, Failed, FileRejected, RecordedEvent, Stage
from shared.public_url import resolve_public_url
from shared.settings import ENV_PREFIX, Settings


class ConsoleReport:
    """Prints lines on the operator's terminal, or nothing if that has been closed, so that the stack still stops."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def print_startup(self, settings: Settings, workers: int, broker_port: int) -> None:
        """Print the folders and addresses of the components. workers: pool processes of the worker."""
        processes = "1 process" if workers == 1 else f"{workers} processes"
        self._print(f"[bold]ArtDream {version('artdream')}[/] is starting. Ctrl-C stops it.")
        for name, value in (
            ("inbox", f"{settings.inbox}: drop photos here"),
            ("wall", f"http://{settings.host}:{settings.port}"),
            *([("mirror", f"http://{settings.host}:{settings.port}/mirror")] if settings.mirror else []),
            ("phones", describe_phone_access(settings)),
            ("worker", f"{processes}, recipe “{', '.join(settings.recipes)}”, warming up"),
            *([("printer", settings.printer)] if settings.printer else []),
            ("broker", f"127.0.0.1:{broker_port}"),
            ("data", f"{settings.data}: store, ledger, broker address, logs"),
        ):
            self._print(f"  [dim]{name:8}[/]{escape(value)}")

    def print_worker_ready(self, seconds: float) -> None:
        """Print that the worker is warm. seconds: time since the start."""
        self._print_line("[green]✓[/]", f"The worker is warm after {seconds:.1f} s.")

    def print_info(self, message: str) -> None:
        """Print a message about normal operation."""
        self._print_line(" ", message)

    def print_warning(self, message: str) -> None:
        """Print a message about a problem."""
        self._print_line("[yellow]![/]", message)

    def print_event(self, recorded: RecordedEvent) -> None:
        """Print an event that ends a job or rejects a file; ignore all others."""
        match recorded.event:
            case Completed() as completed:
                stages = " · ".join(
                    f"{stage} {completed.stages[stage]:.2f}" for stage in Stage if stage in completed.stages
                )
                total_seconds = sum(completed.stages.values())
                self._print_line(
                    "[green]✓[/]",
                    f"{completed.title} dreamt in {total_seconds:.1f} s  ({stages})  job {completed.job_id[:8]}",
                    recorded.recorded_at,
                )
            case Failed() as failed:
                self._print_line("[red]✗[/]", f"Job {failed.job_id[:8]} failed: {failed.reason}", recorded.recorded_at)
            case Cancelled() as cancelled:
                self._print_line(" ", f"Job {cancelled.job_id[:8]} was cancelled.", recorded.recorded_at)
            case FileRejected() as rejected:
                self._print_line("[yellow]✗[/]", f"Rejected: {rejected.file} {rejected.reason}.", recorded.recorded_at)

    def _print_line(self, mark: str, text: str, timestamp: float | None = None) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(timestamp))
        self._print(f"[dim]{clock}[/] {mark} {escape(text)}", highlight=False)

    def _print(self, line: str, *, highlight: bool = True) -> None:
        with contextlib.suppress(OSError, SystemExit):  # rich exits if a pipe is broken
            self._console.print(line, soft_wrap=True, highlight=highlight)


def describe_phone_access(settings: Settings) -> str:
    """Return what the QR codes link to, or why there are none, as a phrase for the report."""
    if url := resolve_public_url(settings):
        return f"QR codes link to {url}/t/…"
    return f"no QR codes: phones cannot reach {settings.host}; set {ENV_PREFIX}HOST=0.0.0.0 or {ENV_PREFIX}PUBLIC_URL"
