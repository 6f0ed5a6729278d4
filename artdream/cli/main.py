"""`artdream`: the command line of all components. Each command imports only the component that it runs."""

import logging
import os
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from artdream.cli.api_keys import api_keys
from artdream.cli.command import CommandGroup, command, print_message
from artdream.cli.completion import complete_network
from artdream.cli.dataset import dataset
from artdream.cli.deploy import deploy
from artdream.cli.jobs import jobs
from artdream.cli.networks import networks
from artdream.cli.options import (
    CanvasOption,
    DataOption,
    FontOption,
    HostOption,
    InboxOption,
    InterruptedCommand,
    JsonOption,
    OutOption,
    PhotoArgument,
    PortOption,
    PrinterOption,
    RecipesOption,
    SeedOption,
    SinceOption,
    SubtitleOption,
    TargetArgument,
    TitleOption,
    UntilOption,
    UsageError,
    console,
    declare_recipe_option,
    load_settings,
    load_settings_with_broker,
    print_json,
    validate_canvas_side,
)
from artdream.cli.rebuild import rebuild
from artdream.cli.recipes import recipes
from artdream.cli.training import training
from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, describe_error
from shared.broker.preflight import open_checked_broker_tunnel
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.monitoring.exporter import enable_multiprocess_metrics, serve_metrics
from shared.monitoring.logs import configure_logging, is_json_logging
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.painters import CLASSIFIER_NETWORK, PAINTING_NETWORK
from shared.recipe.recipe import load_recipe
from shared.settings import ENV_PREFIX, Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

#: Panels of `artdream --help` → their commands, in order.
PANELS = {
    "Run": ("up", "watch", "worker", "display", "print"),
    "Submit": ("dream", "send", "collect"),
    "Keep": ("film", "contact-sheet"),
    "Inspect": ("status", "numbers", "jobs", "doctor", "recipes", "networks", "look", "compare", "explain"),
    "Train": ("dataset", "train", "evaluate", "embed", "styles"),
    "Maintain": ("api-key", "rebuild", "deploy", "c2pa-key"),
}

#: Exit codes, besides 0 for success.
ERROR_EXIT_CODE, USAGE_EXIT_CODE, INTERRUPT_EXIT_CODE = 1, 2, 130

#: Niceness of `artdream film`, as that of the clips that workers make.
FILM_NICENESS = 10

#: Default layers of `artdream compare`.
COMPARED_LAYERS = ("block5", "block8", "block10", "block12", "head")


class ArtDreamGroup(CommandGroup):
    """The commands of `artdream`, in panels."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        in_order = {name: self.commands[name] for names in PANELS.values() for name in names}
        self.commands = {**in_order, **self.commands}
        for panel, names in PANELS.items():
            for name in names:
                self.commands[name].rich_help_panel = panel  # type: ignore[attr-defined]


app = typer.Typer(cls=ArtDreamGroup, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(training)
app.add_typer(recipes, name="recipes")
app.add_typer(networks, name="networks")
app.add_typer(dataset, name="dataset")
app.add_typer(jobs, name="jobs")
app.add_typer(api_keys, name="api-key")
app.add_typer(deploy, name="deploy")
command(app, examples=["artdream rebuild"])(rebuild)


def _print_version(requested: bool) -> None:
    if requested:
        console.print(f"artdream {version('artdream')}", highlight=False)
        raise typer.Exit


@app.callback()
def artdream(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A live dreaming installation: guests' photos become dreams on a wall."""


@command(
    app,
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
        settings.inbox.mkdir()
    _require_inbox(settings)
    Supervisor(settings, workers=workers, demo=demo, report=ConsoleReport(console)).run()


@command(app, examples=["artdream watch", "artdream watch --new-only ~/Downloads"])
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
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    configure_logging(settings, "producer")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.producer_metrics_port):
        run(settings, stop, folders=folders or (), new_only=new_only)


@command(
    app,
    examples=[
        "artdream send ~/Pictures --recipe animals --recipe lines",
        "artdream send '2026/*.heic' --wait --out dreams",
    ],
)
def send(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH", help="Photos, folders, patterns, a .txt file of paths, or - for paths on stdin."
        ),
    ],
    recipe: Annotated[list[str] | None, declare_recipe_option(f"the first of {ENV_PREFIX}RECIPE")] = None,
    seed: SeedOption = 0,
    lane: Annotated[
        Lane,
        typer.Option("--lane", metavar="LANE", help="live or batch; workers take live jobs, which are guests', first."),
    ] = Lane.BATCH,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for all dreams; exit with 1 if one of them failed.")
    ] = False,
    target: OutOption = None,
    data: DataOption = None,
) -> None:
    """Submit any number of photos. Running it again never processes a photo twice."""
    from artdream.cli.send import send_batch

    if target is not None and not wait:
        raise UsageError("--out needs --wait: add it, or save the dreams later with `artdream collect`.")
    with load_settings_with_broker(data=data, recipes=recipe) as settings:
        names = settings.recipes if recipe else settings.recipes[:1]
        send_batch(paths, names, settings, console, seed=seed, lane=lane, wait=wait, output_folder=target)


@command(app, examples=["artdream collect 20261129-7f3a --wait --out dreams"])
def collect(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help="Name of the batch, which `artdream send` printed.")],
    target: OutOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for unfinished dreams.")] = False,
    data: DataOption = None,
) -> None:
    """Save the dreams of a batch that was submitted from this machine."""
    from artdream.cli.send import collect_batch

    with load_settings_with_broker(data=data) as settings:
        collect_batch(batch, settings, console, wait=wait, output_folder=target)


@command(app, examples=["artdream worker", "artdream worker --concurrency 4 --lane live"])
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


@command(app, examples=["artdream display", "artdream display --host 0.0.0.0 --port 8080"])
def display(data: DataOption = None, host: HostOption = None, port: PortOption = None) -> None:
    """Serve wall, gallery, map and console over HTTP."""
    from display.server import serve

    settings = load_settings(data=data, host=host, port=port)
    configure_logging(settings, "display")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.display_metrics_port):
        serve(settings)


@command(
    app,
    name="print",
    examples=["artdream print --printer Canon_SELPHY_CP1500", "artdream print --printer ipp://10.0.0.7/ipp/print"],
)
def print_dreams(printer: PrinterOption = None, data: DataOption = None) -> None:
    """Print dreams on this machine's printer: those that guests and the operator ask for, or all."""
    from display.printing.agent import run

    settings = load_settings(data=data, printer=printer)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    configure_logging(settings, "printer")
    with open_checked_broker_tunnel(settings) as settings:
        run(settings, stop)


@command(
    app,
    examples=[
        "artdream dream photo.heic dream.jpg --recipe lines",
        'artdream dream photo.heic dream.jpg --artist "Paul Klee" --canvas 1536',
    ],
)
def dream(
    source: PhotoArgument,
    target: TargetArgument,
    recipe: Annotated[list[str] | None, declare_recipe_option(f"the first of {ENV_PREFIX}RECIPE", hint="")] = None,
    artist: Annotated[
        str | None,
        typer.Option("--artist", metavar="NAME", help="Painter whose style to use, instead of a recipe."),
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="With --artist: network that knows the painter.",
            autocompletion=complete_network,
        ),
    ] = PAINTING_NETWORK,
    seed: SeedOption = 0,
    canvas: Annotated[
        int | None,
        typer.Option(
            "--canvas",
            metavar="PIXELS",
            help=f"Long side of the dream: {', '.join(map(str, LONG_SIDES))}.",
            show_default="the recipe's",
        ),
    ] = None,
    data: DataOption = None,
) -> None:
    """Render a photo in this process, without a broker."""
    from artdream.cli.dream import choose_painter_recipe, render_dream

    settings = load_settings(recipes=recipe, data=data)
    if recipe and len(settings.recipes) > 1:
        raise UsageError("A photo is rendered with one recipe: `artdream recipes sheet` renders it with several.")
    loaded_recipe = (
        load_recipe(settings.recipes[0]) if artist is None else choose_painter_recipe(artist, network, settings)
    )
    if canvas is not None:
        loaded_recipe = loaded_recipe.model_copy(update={"canvas": validate_canvas_side(canvas), "size": None})
    render_dream(source, target, loaded_recipe, seed, settings, console)


@command(
    app,
    examples=[
        'artdream film evening.mp4 --title "Long night of the museums"',
        "artdream film evening.mp4 --since 2026-11-29T18:00 --size 1080x1920",
    ],
)
def film(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The MP4 file to write.")],
    since: SinceOption = None,
    until: UntilOption = None,
    title: TitleOption = None,
    subtitle: SubtitleOption = None,
    closing: Annotated[
        str | None, typer.Option("--closing", metavar="TEXT", help="Text of the end card.", show_default="the title")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            metavar="N",
            min=1,
            max=60,
            help="Seconds of each dream.",
            show_default="3 to 8, so that a film takes a quarter of an hour",
        ),
    ] = None,
    size: Annotated[
        str,
        typer.Option("--size", metavar="SIZE", help="Pixels of the film; 1080x1080 is square, 1080x1920 for phones."),
    ] = "1920x1080",
    now: Annotated[
        bool, typer.Option("--now", help="Do not give way to other programs, nor pause while guests' photos wait.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Make an MP4 of all visible dreams of an evening. Stopped and run again, it resumes.

    It reads the store alone. A dream that is hidden or deleted before the film is finished is not in it.
    """
    from artdream.cli.evening import Evening
    from artdream.cli.film import GuestPause, make_film, parse_size

    film_size, settings = parse_size(size), load_settings(data=data)
    with open_broker_tunnel(settings) as settings:
        if not now:
            os.nice(max(0, FILM_NICENESS - os.nice(0)))
        make_film(
            Evening(settings, since, until),
            target,
            film_size,
            console,
            title=title,
            subtitle=subtitle,
            closing=closing,
            seconds=seconds,
            guest_pause=None if now else GuestPause(settings),
        )


@command(app, name="contact-sheet", examples=["artdream contact-sheet evening.pdf --since 2026-11-29T18:00"])
def contact_sheet(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The PDF file to write.")],
    since: SinceOption = None,
    until: UntilOption = None,
    title: TitleOption = None,
    subtitle: SubtitleOption = None,
    font: FontOption = None,
    data: DataOption = None,
) -> None:
    """Make a PDF of all visible dreams of an evening, each beside its photo, on pages of A4 to be printed."""
    from artdream.cli.evening import Evening, choose_font
    from artdream.cli.evening_pdf import make_contact_sheet

    evening = Evening(load_settings(data=data), since, until)
    make_contact_sheet(evening, target, console, title=title, subtitle=subtitle, font=choose_font(font))


@command(
    app,
    examples=[
        "artdream look out.jpg --layer block10 --channel 102",
        "artdream look out.jpg --class peacock --steps 512",
    ],
)
def look(
    target: TargetArgument,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="LAYER", help="A layer that `artdream networks show NETWORK` lists."),
    ] = None,
    channel: Annotated[
        int | None, typer.Option("--channel", metavar="N", min=0, help="One channel of the layer.", show_default="all")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="A class of the network, instead of a layer.")
    ] = None,
    network: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="Network to look into; `artdream networks` lists them.",
            autocompletion=complete_network,
        ),
    ] = "lite",
    canvas: CanvasOption = 512,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=1, max=2000, help="Steps of gradient ascent: more show more detail."),
    ] = 128,
    seed: SeedOption = 0,
    data: DataOption = None,
) -> None:
    """Render from noise what a layer, a channel or a class of a network responds to most."""
    from artdream.cli.dream import render_feature_visualization

    if (layer is None) == (class_name is None) or (channel is not None and layer is None):
        raise UsageError("Choose what to look at: either --layer, with or without --channel, or --class.")
    if class_name is not None:
        objective: dict[str, object] = {"kind": "classes", "classes": [class_name]}
    elif channel is not None:
        objective = {"kind": "channels", "layer": layer, "channels": [channel]}
    else:
        objective = {"kind": "layers", "layers": {layer: 1.0}}
    render_feature_visualization(
        target, objective, network, validate_canvas_side(canvas), steps, seed, load_settings(data=data), console
    )


@command(app, examples=["artdream compare photo.heic sheet.jpg --layer block5 --layer block10"])
def compare(
    source: PhotoArgument,
    target: TargetArgument,
    network: Annotated[
        str,
        typer.Option(
            "--network",
            metavar="NETWORK",
            help="Network that knows painters; `artdream networks` lists them.",
            autocompletion=complete_network,
        ),
    ] = CLASSIFIER_NETWORK,
    against: Annotated[
        str,
        typer.Option(
            "--against", metavar="NETWORK", help="Network to compare it with.", autocompletion=complete_network
        ),
    ] = "lite",
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help="A layer of both networks. Repeat the option for several.",
            show_default=", ".join(COMPARED_LAYERS),
        ),
    ] = None,
    canvas: CanvasOption = 512,
    data: DataOption = None,
) -> None:
    """Render a photo through the same layers of two networks, and as eight painters."""
    from artdream.cli.dream import render_comparison

    render_comparison(
        source,
        target,
        (network, against),
        layers or COMPARED_LAYERS,
        validate_canvas_side(canvas),
        load_settings(data=data),
        console,
    )


@command(app, examples=["artdream status", "artdream status --json"])
def status(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show running components, queue lengths and recent errors."""
    from artdream.cli.status import print_status, read_status

    with load_settings_with_broker(data=data) as settings:
        if as_json:
            print_json(read_status(settings))
        else:
            print_status(settings, console)


@command(app, examples=["artdream numbers", "artdream numbers --days 7 --csv"])
def numbers(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=4000, help="The last N days; a day begins at 6:00.")
    ] = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table: one row for each hour.")] = False,
    data: DataOption = None,
) -> None:
    """Show photos, dreams, waiting times, opened links, saved dreams and prints by hour."""
    from artdream.cli.numbers import print_csv, print_numbers, read_numbers

    with load_settings_with_broker(data=data) as settings:
        read = read_numbers(settings, days)
    if as_csv:
        print_csv(read)
    else:
        print_numbers(read, console)


@command(app, examples=["artdream explain dream.jpg", "artdream explain dream.jpg --render again.jpg"])
def explain(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Pictures, clips or sheets: JPEG, PNG, WebP, GIF, MP4 or PDF.")
    ],
    render: Annotated[
        Path | None,
        typer.Option(
            "--render",
            metavar="OUT",
            help="Render the dream again, from the photo in the store, to this file, and compare them.",
            show_default="not rendered",
        ),
    ] = None,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Say how a picture was made, as its file says, and whether that is so: compared with the store, by its signature.

    Exits with 0 if every file is a dream and nothing contradicts that, 1 if one cannot be read, 3 if one is no dream of
    ArtDream, 4 if one was changed, its signature is not valid, or the dream rendered again differs.
    """
    from artdream.cli.explain import explain_files

    if code := explain_files(files, load_settings(data=data), console, render_to=render, as_json=as_json):
        raise typer.Exit(code)


@command(app, name="c2pa-key", examples=['artdream c2pa-key keys --organization "Museum of Example"'])
def c2pa_key(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write key and certificate to.")],
    organization: Annotated[
        str, typer.Option("--organization", metavar="NAME", help="Name in the certificate, which everybody can read.")
    ],
) -> None:
    """Make a key and a certificate to sign dreams with (C2PA). No authority confirms the name in it."""
    from artdream.cli.c2pa_key import write_key

    write_key(folder, organization, console)


@command(app, examples=["artdream doctor", "artdream doctor --json"])
def doctor(inbox: InboxOption = None, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Check this machine and its installation, and say how to fix each problem."""
    from artdream.cli.checks import report_results
    from artdream.cli.doctor import run_checks

    report_results(run_checks(load_settings(inbox=inbox, data=data)), as_json=as_json)


def main() -> None:
    """Run the command line. An expected error prints one sentence on stderr."""
    try:
        app()
    except UsageError as error:
        _exit_with_error(str(error), USAGE_EXIT_CODE)
    except InterruptedCommand as error:
        _exit_with_error(str(error), INTERRUPT_EXIT_CODE)
    except ArtDreamError as error:
        _exit_with_error(str(error), ERROR_EXIT_CODE)
    except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
        _exit_with_error(describe_error(error), ERROR_EXIT_CODE)


def _require_inbox(settings: Settings) -> None:
    if not settings.inbox.is_dir():
        raise ArtDreamError(f"The inbox {settings.inbox} is not a folder: create it, or name another with --inbox.")


def _exit_with_error(message: str, exit_code: int) -> None:
    if is_json_logging():
        logging.getLogger("artdream").error("%s", message)
    else:
        print_message(message)
    sys.exit(exit_code)
