"""What the operator reads while the stack runs: a few lines at the start, then one line for each dream."""

import time
from importlib.metadata import version

from rich.console import Console
from rich.markup import escape

from shared.jobs.events import Cancelled, Completed, Failed, FileRejected, RecordedEvent, Stage
from shared.public_url import resolve_public_url
from shared.settings import ENV_PREFIX, Settings


class ConsoleReport:
    """Lines on the operator's terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def print_startup(self, settings: Settings, workers: int, broker_port: int) -> None:
        """Say what runs where."""
        processes = "1 process" if workers == 1 else f"{workers} processes"
        self._console.print(f"[bold]ArtDream {version('artdream')}[/] is starting. Ctrl-C stops it.")
        for name, place in (
            ("inbox", f"{settings.inbox}: drop photos here"),
            ("wall", f"http://{settings.host}:{settings.port}"),
            ("phones", describe_phone_access(settings)),
            ("worker", f"{processes}, recipe “{', '.join(settings.recipes)}”, warming up"),
            ("broker", f"127.0.0.1:{broker_port}"),
            ("data", f"{settings.data}: store, ledger, broker file, logs"),
        ):
            self._console.print(f"  [dim]{name:8}[/]{escape(place)}", soft_wrap=True)

    def print_worker_ready(self, seconds: float) -> None:
        """Say that photos are now dreamt without delay."""
        self._print_line("[green]✓[/]", f"The worker is warm after {seconds:.1f} s.")

    def print_info(self, message: str) -> None:
        """Tell something that is in order."""
        self._print_line(" ", message)

    def print_warning(self, message: str) -> None:
        """Tell something that the operator may want to look into."""
        self._print_line("[yellow]![/]", message)

    def print_event(self, recorded: RecordedEvent) -> None:
        """Tell an event, where it is one that ends something."""
        match recorded.event:
            case Completed() as done:
                stages = " · ".join(f"{stage} {done.stages[stage]:.2f}" for stage in Stage if stage in done.stages)
                total = sum(done.stages.values())
                self._print_line(
                    "[green]✓[/]",
                    f"{done.title} dreamt in {total:.1f} s  ({stages})  job {done.job_id[:8]}",
                    recorded.recorded_at,
                )
            case Failed() as failed:
                self._print_line("[red]✗[/]", f"Job {failed.job_id[:8]} failed: {failed.reason}", recorded.recorded_at)
            case Cancelled() as cancelled:
                self._print_line(" ", f"Job {cancelled.job_id[:8]} was cancelled.", recorded.recorded_at)
            case FileRejected() as refused:
                self._print_line("[yellow]✗[/]", f"Set aside: {refused.file} {refused.reason}.", recorded.recorded_at)

    def _print_line(self, mark: str, text: str, timestamp: float | None = None) -> None:
        clock = time.strftime("%H:%M:%S", time.localtime(timestamp))
        self._console.print(f"[dim]{clock}[/] {mark} {escape(text)}", soft_wrap=True, highlight=False)


def describe_phone_access(settings: Settings) -> str:
    """Say where the QR codes lead, or why there are none."""
    if url := resolve_public_url(settings):
        return f"{url}/t/… takes a dream home; QR codes lead there"
    return f"no QR codes, as no phone reaches {settings.host}: set {ENV_PREFIX}HOST=0.0.0.0 or {ENV_PREFIX}PUBLIC_URL"
