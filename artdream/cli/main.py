"""`artdream`: the command line of all components. Each command imports only the component that it runs."""

import logging
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from artdream.cli.dataset import dataset
from artdream.cli.deploy import deploy
from artdream.cli.jobs import jobs
from artdream.cli.networks import networks
from artdream.cli.options import (
    DataOption,
    InboxOption,
    OutOption,
    PortOption,
    RecipeOption,
    SeedOption,
    console,
    load_settings,
    load_settings_with_broker,
    validate_canvas_side,
)
from artdream.cli.rebuild import rebuild
from artdream.cli.recipes import recipes
from artdream.cli.training import embed, evaluate, styles, train
from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, describe_error
from shared.broker.preflight import open_checked_broker_tunnel
from shared.errors import ArtDreamError
from shared.jobs.job import Lane
from shared.monitoring.exporter import enable_multiprocess_metrics, serve_metrics
from shared.monitoring.logs import configure_logging, is_json_logging
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.painters import CLASSIFIER_NETWORK, PAINTING_NETWORK
from shared.recipe.recipe import load_recipe
from shared.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        console.print(f"artdream {version('artdream')}", highlight=False)
        raise typer.Exit


@app.callback()
def artdream(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Tell the version.")
    ] = False,
) -> None:
    """Photograph something, and seconds later the wall shows it dreaming."""


app.add_typer(recipes, name="recipes")
app.add_typer(networks, name="networks")
app.add_typer(dataset, name="dataset")
app.add_typer(jobs, name="jobs")
app.add_typer(deploy, name="deploy")


@app.command()
def up(
    inbox: InboxOption = None,
    data: DataOption = None,
    port: PortOption = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Pool processes that dream.")] = 1,
    recipe: RecipeOption = None,
    demo: Annotated[bool, typer.Option("--demo", help="Drop the sample photo into the inbox once warm.")] = False,
) -> None:
    """Run everything on this machine: broker, worker, producer and display. Ctrl-C drains and stops it."""
    from artdream.stack.report import ConsoleReport
    from artdream.stack.supervisor import Supervisor

    settings = load_settings(inbox=inbox, data=data, port=port, recipe=recipe)
    if not settings.inbox.exists() and settings.inbox == Settings.model_fields["inbox"].default:
        settings.inbox.mkdir()
    _require_inbox(settings)
    Supervisor(settings, workers=workers, demo=demo, report=ConsoleReport(console)).run()


@app.command()
def watch(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Folders to watch, instead of the inbox.")
    ] = None,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave alone what is in a folder when it is first watched.")
    ] = False,
    inbox: InboxOption = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
) -> None:
    """Watch folders and send every photo that appears in them. They are only read."""
    from producer.watch import run

    settings = load_settings(inbox=inbox, data=data, recipe=recipe)
    if not folders:
        _require_inbox(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    configure_logging(settings, "producer")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.producer_metrics_port):
        run(settings, stop, folders=folders or (), new_only=new_only)


@app.command()
def send(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH", help="Pictures, folders, patterns, a .txt file of paths, or - for stdin."),
    ],
    recipe: Annotated[list[str] | None, typer.Option("--recipe", help="How to dream; may be given again.")] = None,
    seed: SeedOption = 0,
    lane: Annotated[Lane, typer.Option("--lane", help="`live` overtakes `batch`.")] = Lane.BATCH,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are dreamt; fail if one is not.")] = False,
    target: OutOption = None,
    data: DataOption = None,
) -> None:
    """Send photos to be dreamt, any number of them. The same again dreams nothing twice."""
    from artdream.cli.send import send_batch

    for name in recipe or ():
        load_recipe(name)
    if target is not None and not wait:
        raise ArtDreamError("--out collects what was waited for: add --wait, or `artdream collect` it later.")
    with load_settings_with_broker(data=data) as settings:
        send_batch(paths, recipe or (), settings, console, seed=seed, lane=lane, wait=wait, output_folder=target)


@app.command()
def collect(
    batch: Annotated[str, typer.Argument(help="The name that `artdream send` gave it.", metavar="BATCH")],
    target: OutOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for what is not dreamt yet.")] = False,
    data: DataOption = None,
) -> None:
    """Collect the dreams of a batch that was sent from this data folder."""
    from artdream.cli.send import collect_batch

    with load_settings_with_broker(data=data) as settings:
        collect_batch(batch, settings, console, wait=wait, output_folder=target)


@app.command()
def worker(
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Pool processes that dream.")] = 1,
    lane: Annotated[
        list[Lane] | None, typer.Option("--lane", help="Serve this lane only; may be given again. By default both.")
    ] = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
) -> None:
    """Dream what waits in the lanes."""
    settings = load_settings(data=data, recipe=recipe)
    configure_logging(settings, "worker")
    with open_checked_broker_tunnel(settings) as settings, enable_multiprocess_metrics(settings):
        from worker.app import run
        from worker.consumer.gpus import GpuMemoryCollector
        from worker.consumer.liveness import Liveness

        liveness = Liveness()
        with serve_metrics(
            settings, settings.worker_metrics_port, [GpuMemoryCollector()], is_consuming=liveness.is_alive
        ):
            run(settings, concurrency=concurrency, lanes=lane or tuple(Lane), liveness=liveness)


@app.command()
def display(data: DataOption = None, port: PortOption = None) -> None:
    """Show the wall in a browser."""
    from display.server import serve

    settings = load_settings(data=data, port=port)
    configure_logging(settings, "display")
    with open_checked_broker_tunnel(settings) as settings, serve_metrics(settings, settings.display_metrics_port):
        serve(settings)


@app.command()
def dream(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A photo: HEIC, JPEG or PNG.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the dream goes, as JPEG.")],
    recipe: RecipeOption = None,
    artist: Annotated[str | None, typer.Option("--artist", help="More of this painter, instead of a recipe.")] = None,
    network: Annotated[str, typer.Option("--network", help="The network that knows the painter.")] = PAINTING_NETWORK,
    seed: SeedOption = 0,
    canvas: Annotated[
        int | None, typer.Option("--canvas", help="Another long side in pixels, up to 4096 for prints.")
    ] = None,
) -> None:
    """Dream one photo here and now, with no broker at all."""
    from artdream.cli.dream import choose_painter_recipe, render_dream

    settings = load_settings(recipe=recipe)
    loaded_recipe = (
        load_recipe(settings.recipes[0]) if artist is None else choose_painter_recipe(artist, network, settings)
    )
    if canvas is not None:
        loaded_recipe = loaded_recipe.model_copy(update={"canvas": validate_canvas_side(canvas), "size": None})
    render_dream(source, target, loaded_recipe, seed, settings, console)


@app.command()
def look(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the picture goes, as JPEG.")],
    layer: Annotated[
        str | None, typer.Option("--layer", help="A layer; `artdream networks show NAME` lists them.")
    ] = None,
    channel: Annotated[int | None, typer.Option("--channel", min=0, help="One channel of the layer.")] = None,
    class_name: Annotated[str | None, typer.Option("--class", help="One class of a classifier, instead.")] = None,
    network: Annotated[str, typer.Option("--network", help="`artdream networks` lists them.")] = "lite",
    canvas: Annotated[int, typer.Option("--canvas", help=f"Side in pixels: {', '.join(map(str, LONG_SIDES))}.")] = 512,
    steps: Annotated[int, typer.Option("--steps", min=1, max=2000, help="More steps, more detail.")] = 128,
    seed: SeedOption = 0,
) -> None:
    """Look into a network: paint from noise what makes a layer, a channel or a class fire."""
    from artdream.cli.dream import render_feature_visualization

    if (layer is None) == (class_name is None) or (channel is not None and layer is None):
        raise ArtDreamError("Say what to look at: either --layer, with or without --channel, or --class.")
    if class_name is not None:
        objective: dict[str, object] = {"kind": "classes", "classes": [class_name]}
    elif channel is not None:
        objective = {"kind": "channels", "layer": layer, "channels": [channel]}
    else:
        objective = {"kind": "layers", "layers": {layer: 1.0}}
    render_feature_visualization(
        target, objective, network, validate_canvas_side(canvas), steps, seed, load_settings(), console
    )


@app.command()
def compare(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo: HEIC, JPEG or PNG.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the sheet goes, as JPEG.")],
    network: Annotated[str, typer.Option("--network", help="The network that knows painters.")] = CLASSIFIER_NETWORK,
    against: Annotated[str, typer.Option("--against", help="The network that it is compared with.")] = "lite",
    layer: Annotated[list[str] | None, typer.Option("--layer", help="A layer of both; may be given again.")] = None,
    canvas: Annotated[int, typer.Option("--canvas", help="Long side in pixels that is dreamt at.")] = 512,
) -> None:
    """Dream one photo through the same layers of two networks, and as eight painters."""
    from artdream.cli.dream import render_comparison

    layers = layer or ["block5", "block8", "block10", "block12", "head"]
    render_comparison(
        source, target, (network, against), layers, validate_canvas_side(canvas), load_settings(), console
    )


app.command()(train)
app.command()(evaluate)
app.command()(embed)
app.command()(styles)
app.command()(rebuild)


@app.command()
def status(data: DataOption = None) -> None:
    """Say what is running, what waits, and what went wrong lately."""
    from artdream.cli.status import print_status

    with load_settings_with_broker(data=data) as settings:
        print_status(settings, console)


@app.command()
def doctor(inbox: InboxOption = None, data: DataOption = None) -> None:
    """Check this machine and installation, one line each, with what to do."""
    from artdream.cli.doctor import run_checks

    if not run_checks(load_settings(inbox=inbox, data=data), console):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line. An expected error prints one sentence on stderr and exits with code 1."""
    try:
        app()
    except ArtDreamError as error:
        _exit_with_error(str(error))
    except (*BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
        _exit_with_error(describe_error(error))


def _require_inbox(settings: Settings) -> None:
    if not settings.inbox.is_dir():
        raise ArtDreamError(f"The inbox {settings.inbox} is not a folder: create it, or name another with --inbox.")


def _exit_with_error(message: str) -> None:
    if is_json_logging():
        logging.getLogger("artdream").error("%s", message)
    else:
        Console(stderr=True, highlight=False).print(f"artdream: {message}", soft_wrap=True, markup=False)
    sys.exit(1)
