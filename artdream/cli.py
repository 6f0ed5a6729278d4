"""`artdream`: one command line for every part. Each command imports only the part it runs."""

import logging
import signal
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from shared.broker import AWAY
from shared.canvas import LONG_SIDES
from shared.errors import ArtDreamError
from shared.jobs import Lane, State
from shared.recipe import load_recipe, recipe_names
from shared.settings import Settings
from shared.tunnel import reached

app = typer.Typer(
    help="Photograph something, and seconds later the wall shows it dreaming.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

recipes = typer.Typer(help="The ways to dream: list, sheet.", invoke_without_command=True)
app.add_typer(recipes, name="recipes")

networks = typer.Typer(help="The networks that dream: list, show, fetch.", invoke_without_command=True)
app.add_typer(networks, name="networks")

jobs = typer.Typer(help="The jobs: list, show, cancel, retry, link.", invoke_without_command=True)
app.add_typer(jobs, name="jobs")

out = Console(highlight=False)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of broker file, store and ledger [./artdream-data].")
]
InboxOption = Annotated[Path | None, typer.Option("--inbox", help="Folder to watch for photos [./inbox].")]
RecipeOption = Annotated[str | None, typer.Option("--recipe", help="How to dream; `artdream recipes` lists them.")]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the display [8501].")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder that the dreams are put into.")]
JobArgument = Annotated[str, typer.Argument(help="A job's id, or how it begins.", metavar="JOB")]
JobsArgument = Annotated[list[str], typer.Argument(help="Ids of jobs, or how they begin.", metavar="JOB…")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The same seed gives the same dream.")]


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
    from artdream.report import Report
    from artdream.stack import Stack

    settings = _settings(inbox=inbox, data=data, port=port, recipe=recipe)
    if not settings.inbox.exists() and settings.inbox == Settings.model_fields["inbox"].default:
        settings.inbox.mkdir()
    _require_inbox(settings)
    Stack(settings, workers=workers, demo=demo, report=Report(out)).run()


@app.command()
def watch(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]…", help="Folders to watch, instead of the inbox.")
    ] = None,
    inbox: InboxOption = None,
    data: DataOption = None,
    recipe: RecipeOption = None,
) -> None:
    """Watch folders and send every photo that appears in them. They are only read."""
    from producer.watch import run

    settings = _settings(inbox=inbox, data=data, recipe=recipe)
    if not folders:
        _require_inbox(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    _log_to_stderr()
    with reached(settings) as settings:
        run(settings, stop, folders=folders or ())


@app.command()
def send(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH…", help="Pictures, folders, patterns, a .txt file of paths, or - for stdin."),
    ],
    recipe: Annotated[list[str] | None, typer.Option("--recipe", help="How to dream; may be given again.")] = None,
    seed: SeedOption = 0,
    lane: Annotated[Lane, typer.Option("--lane", help="`live` overtakes `batch`.")] = Lane.BATCH,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all are dreamt; fail if one is not.")] = False,
    target: OutOption = None,
    data: DataOption = None,
) -> None:
    """Send photos to be dreamt, any number of them. The same again dreams nothing twice."""
    from artdream.batches import send_batch

    for name in recipe or ():
        load_recipe(name)
    if target is not None and not wait:
        raise ArtDreamError("--out collects what was waited for: add --wait, or `artdream collect` it later.")
    with _reached(data=data) as settings:
        send_batch(paths, recipe or (), settings, out, seed=seed, lane=lane, wait=wait, out=target)


@app.command()
def collect(
    batch: Annotated[str, typer.Argument(help="The name that `artdream send` gave it.", metavar="BATCH")],
    target: OutOption = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for what is not dreamt yet.")] = False,
    data: DataOption = None,
) -> None:
    """Collect the dreams of a batch that was sent from this data folder."""
    from artdream.batches import collect_batch

    with _reached(data=data) as settings:
        collect_batch(batch, settings, out, wait=wait, out=target)


@jobs.callback()
def jobs_or_list(context: typer.Context) -> None:
    """The jobs: list, show, cancel, retry, link."""
    if context.invoked_subcommand is None:
        list_jobs()


@jobs.command("list")
def list_jobs(
    state: Annotated[list[State] | None, typer.Option("--state", help="Only these; may be given again.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many, newest first.")] = 30,
    data: DataOption = None,
) -> None:
    """List the jobs, newest first."""
    from artdream.jobs import show_list

    with _reached(data=data) as settings:
        show_list(settings, out, states=state or (), limit=limit)


@jobs.command("show")
def show_job(job: JobArgument, data: DataOption = None) -> None:
    """Show what is known of a job."""
    from artdream.jobs import show_job as show

    with _reached(data=data) as settings:
        show(settings, out, job)


@jobs.command("cancel")
def cancel_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Call jobs off, whether they wait or are being dreamt. No other job notices."""
    from artdream.jobs import cancel

    with _reached(data=data) as settings:
        cancel(settings, out, jobs)


@jobs.command("retry")
def retry_jobs(jobs: JobsArgument, data: DataOption = None) -> None:
    """Take up jobs again that failed or were cancelled."""
    from artdream.jobs import retry

    with _reached(data=data) as settings:
        retry(settings, out, jobs)


@jobs.command("link")
def link_job(
    job: Annotated[str, typer.Argument(help="A job's id, how it begins, or an old link.", metavar="JOB")],
    data: DataOption = None,
) -> None:
    """Print a link that takes a dream home; the way to renew one that has expired."""
    from artdream.jobs import link

    link(_settings(data=data), out, job)


@app.command()
def worker(
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Pool processes that dream.")] = 1,
    data: DataOption = None,
    recipe: RecipeOption = None,
) -> None:
    """Dream what waits in the lanes."""
    from worker.app import run

    settings = _settings(data=data, recipe=recipe)
    _log_to_stderr()
    with reached(settings) as settings:
        run(settings, concurrency=concurrency)


@app.command()
def display(data: DataOption = None, port: PortOption = None) -> None:
    """Show the wall in a browser."""
    from display.app import serve

    settings = _settings(data=data, port=port)
    _log_to_stderr()
    with reached(settings) as settings:
        serve(settings)


@app.command()
def dream(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A photo: HEIC, JPEG or PNG.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the dream goes, as JPEG.")],
    recipe: RecipeOption = None,
    seed: SeedOption = 0,
    canvas: Annotated[
        int | None, typer.Option("--canvas", help="Another long side in pixels, up to 4096 for prints.")
    ] = None,
) -> None:
    """Dream one photo here and now, with no broker at all."""
    from artdream.offline import dream_file

    settings = _settings(recipe=recipe)
    chosen = load_recipe(settings.recipe)
    if canvas is not None:
        chosen = chosen.model_copy(update={"canvas": _canvas(canvas)})
    dream_file(source, target, chosen, seed, settings, out)


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
    from artdream.offline import look_file

    if (layer is None) == (class_name is None) or (channel is not None and layer is None):
        raise ArtDreamError("Say what to look at: either --layer, with or without --channel, or --class.")
    if class_name is not None:
        objective: dict[str, object] = {"kind": "classes", "classes": [class_name]}
    elif channel is not None:
        objective = {"kind": "channels", "layer": layer, "channels": [channel]}
    else:
        objective = {"kind": "layers", "layers": {layer: 1.0}}
    look_file(target, objective, network, _canvas(canvas), steps, seed, _settings(), out)


@recipes.callback()
def recipes_or_list(context: typer.Context) -> None:
    """The ways to dream: list, sheet."""
    if context.invoked_subcommand is None:
        list_recipes()


@recipes.command("list")
def list_recipes() -> None:
    """List the ways to dream."""
    table = Table("Recipe", "Title", "Network", "Canvas", "What it does", box=None, header_style="dim")
    for name in recipe_names():
        recipe = load_recipe(name)
        table.add_row(name, recipe.title, recipe.network, f"{recipe.canvas} px", recipe.description)
    out.print(table)


@recipes.command("sheet")
def sheet(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo: HEIC, JPEG or PNG.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the sheet goes, as JPEG.")],
    seed: SeedOption = 0,
    canvas: Annotated[int, typer.Option("--canvas", help="Long side in pixels that is dreamt at.")] = 512,
) -> None:
    """Dream one photo in every way, side by side."""
    from artdream.offline import sheet_file

    sheet_file(source, target, _canvas(canvas), seed, _settings(), out)


@networks.callback()
def networks_or_list(context: typer.Context) -> None:
    """The networks that dream: list, show, fetch."""
    if context.invoked_subcommand is None:
        list_networks()


@networks.command("list")
def list_networks(data: DataOption = None) -> None:
    """List the networks: source, size, licence, layers, classes, and whether their weights are here."""
    from artdream.networks import show_list

    show_list(_settings(data=data), out)


@networks.command("show")
def show_network(
    name: Annotated[str, typer.Argument(help="`artdream networks` lists them; or a .keras file.", metavar="NAME")],
    classes: Annotated[bool, typer.Option("--classes", help="Print every class it tells apart.")] = False,
    data: DataOption = None,
) -> None:
    """Show the layers of a network that a recipe may name, and its classes."""
    from artdream.networks import show_network as show

    show(_settings(data=data), name, out, every_class=classes)


@networks.command("fetch")
def fetch_network(name: Annotated[str, typer.Argument(help="inception_v3 or vgg19.", metavar="NAME")]) -> None:
    """Fetch the weights of a network, once."""
    from artdream.networks import fetch

    fetch(_settings(), name, out)


@app.command()
def status(data: DataOption = None) -> None:
    """Say what is running, what waits, and what went wrong lately."""
    from artdream.status import show

    with _reached(data=data) as settings:
        show(settings, out)


@app.command()
def doctor(inbox: InboxOption = None, data: DataOption = None) -> None:
    """Check this machine and installation, one line each, with what to do."""
    from artdream.doctor import examine

    if not examine(_settings(inbox=inbox, data=data), out):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line. Expected faults end in one sentence on stderr and exit code 1."""
    try:
        app()
    except ArtDreamError as error:
        _end(str(error))
    except AWAY as error:
        _end(f"The broker does not answer ({error}): is it running, and is ARTDREAM_BROKER_URL right?")


def _settings(**chosen: object) -> Settings:
    settings = Settings.read(**chosen)
    load_recipe(settings.recipe)  # an unknown recipe is told now, not at the first photo
    return settings


def _reached(**chosen: object) -> AbstractContextManager[Settings]:
    """Enter a context in which the broker can be reached, through SSH where the settings say so."""
    return reached(_settings(**chosen))


def _canvas(side: int) -> int:
    if side not in LONG_SIDES:
        raise ArtDreamError(f"There is no canvas of {side} px: take one of {', '.join(map(str, LONG_SIDES))}.")
    return side


def _require_inbox(settings: Settings) -> None:
    if not settings.inbox.is_dir():
        raise ArtDreamError(f"The inbox {settings.inbox} is not a folder: create it, or name another with --inbox.")


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")


def _end(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(f"artdream: {sentence}", soft_wrap=True, markup=False)
    sys.exit(1)
