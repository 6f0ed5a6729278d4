"""Commands that run a component, or all of them."""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from artdream.cli.command import command
from artdream.cli.options import (
    DataOption,
    HostOption,
    InboxOption,
    PortOption,
    PrinterOption,
    RecipesOption,
    console,
    load_settings,
)
from shared.broker.preflight import open_checked_broker_tunnel
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.monitoring.exporter import enable_multiprocess_metrics, serve_metrics
from shared.monitoring.logs import configure_logging
from shared.settings import Settings

#: The commands.
component_commands = typer.Typer()


@command(
    component_commands,
    examples=[
        "artdream up --demo",
        "artdream up --recipe lines --recipe night --host 0.0.0.0 --printer Canon_SELPHY_CP1500",
    ],
)
def up(
    inbox: InboxOption = None,
    data: DataOption = None,
    host: HostOption = None,
    port: PortOption = None,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Pool processes of the worker.")] = 1,
    recipe: RecipesOption = None,
    printer: PrinterOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Drop a sample photo into the inbox when all is warm.")] = False,
) -> None:
    """Run everything on this machine: broker, worker, producer and display. Ctrl-C stops it after the current dream."""
    from artdream.stack.report import ConsoleReport
    from artdream.stack.supervisor import Supervisor

    settings = load_settings(inbox=inbox, data=data, host=host, port=port, recipes=recipe, printer=printer)
    if not settings.inbox.exists() and settings.inbox == Settings.model_fields["inbox"].default:
        try:
            settings.inbox.mkdir()
        except OSError as error:
            raise ArtDreamError(f"The inbox {settings.inbox} cannot be created: {error.strerror}.") from error
    _require_inbox(settings)
    Supervisor(settings, workers=workers, demo=demo, report=ConsoleReport(console)).run()


@command(component_commands, examples=["artdream watch", "artdream watch --new-only ~/Downloads"])
def watch(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="Folders to watch instead of the inbox.")
    ] = None,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Ignore files that are in a folder when it is first watched.")
    ] = False,
    inbox: InboxOption = None,
    data: DataOption = None,
    recipe: RecipesOption = None,
) -> None:
    """Start a producer that watches folders and submits every new photo. The folders are only read."""
    from producer.watch import run

    settings = load_settings(inbox=inbox, data=data, recipes=recipe)
    if not folders:
        _require_inbox(settings)
    stop = _stop_on_signals()
    configure_logging(settings, "producer")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.producer_metrics_port):
        run(settings, stop, folders=folders or (), new_only=new_only)


@command(component_commands, examples=["artdream worker", "artdream worker --concurrency 4 --lane live"])
def worker(
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, help="Pool processes; with GPUs, one for each.")
    ] = 1,
    lanes: Annotated[
        list[Lane] | None,
        typer.Option("--lane", metavar="LANE", help="Serve only this lane, live or batch.", show_default="both"),
    ] = None,
    data: DataOption = None,
    recipe: RecipesOption = None,
) -> None:
    """Start a worker that processes queued jobs."""
    settings = load_settings(data=data, recipes=recipe)
    configure_logging(settings, "worker")
    with open_checked_broker_tunnel(settings) as settings, enable_multiprocess_metrics(settings):
        from worker.app import run
        from worker.consumer.gpus import GpuMemoryCollector
        from worker.consumer.liveness import Liveness

        liveness = Liveness()
        with serve_metrics(
            settings, settings.worker_metrics_port, [GpuMemoryCollector()], is_consuming=liveness.is_alive
        ):
            run(settings, concurrency=concurrency, lanes=lanes or tuple(Lane), liveness=liveness)


@command(component_commands, examples=["artdream display", "artdream display --host 0.0.0.0 --port 8080"])
def display(data: DataOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Serve wall, gallery, map and console over HTTP."""
    from display.server import serve

    settings = load_settings(data=data, host=host, port=port)
    configure_logging(settings, "display")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.display_metrics_port):
        serve(settings)


@command(
    component_commands,
    name="print",
    examples=["artdream print --printer Canon_SELPHY_CP1500", "artdream print --printer ipp://10.0.0.7/ipp/print"],
)
def print_dreams(printer: PrinterOption = None, data: DataOption = None) -> None:
    """Print dreams on this machine's printer: those that guests and the operator ask for, or all."""
    from display.printing.agent import run

    settings = load_settings(data=data, printer=printer)
    stop = _stop_on_signals()
    configure_logging(settings, "printer")
    with open_checked_broker_tunnel(settings) as settings:
        run(settings, stop)


@command(component_commands, examples=["artdream webhooks"])
def webhooks(data: DataOption = None) -> None:
    """Deliver webhooks to the endpoints that `artdream webhook add` has added."""
    from display.webhooks.deliverer import run

    settings = load_settings(data=data)
    stop = _stop_on_signals()
    configure_logging(settings, "webhooks")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.webhooks_metrics_port):
        run(settings, stop)


def _stop_on_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _require_inbox(settings: Settings) -> None:
    if not settings.inbox.is_dir():
        raise ArtDreamError(f"The inbox {settings.inbox} is not a folder: create it, or name another with --inbox.")
