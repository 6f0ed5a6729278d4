"""`artdream`: the command line, put together from its commands. Each imports only the component that it runs."""

import io
import logging
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from artdream.cli.api_keys import api_keys
from artdream.cli.c2pa_key import c2pa_key
from artdream.cli.command import CommandGroup, command, print_message
from artdream.cli.component_commands import component_commands
from artdream.cli.dataset import dataset
from artdream.cli.deploy import deploy
from artdream.cli.evening_commands import evening_commands
from artdream.cli.inspection_commands import inspection_commands
from artdream.cli.jobs import jobs
from artdream.cli.network_pictures import network_pictures
from artdream.cli.networks import networks
from artdream.cli.options import InterruptedCommand, UsageError, console
from artdream.cli.photo_commands import photo_commands
from artdream.cli.rebuild import rebuild
from artdream.cli.recipes import recipes
from artdream.cli.stylizer import stylizer
from artdream.cli.training import training
from artdream.cli.webhooks import webhooks
from shared.broker.client import BROKER_ACCESS_DENIED, BROKER_UNAVAILABLE, describe_error
from shared.errors import ArtDreamError
from shared.monitoring.logs import is_json_logging

#: Panels of `artdream --help` → their commands, in order.
PANELS = {
    "Run": ("up", "watch", "worker", "display", "print", "webhooks"),
    "Submit": ("dream", "send", "collect"),
    "Keep": ("film", "contact-sheet"),
    "Inspect": ("status", "numbers", "jobs", "doctor", "recipes", "networks", "look", "compare", "explain"),
    "Train": ("dataset", "train", "evaluate", "embed", "styles", "train-stylizer"),
    "Maintain": ("api-key", "webhook", "rebuild", "deploy", "c2pa-key"),
}

#: ArtDream's own packages: one that is missing is a fault, not an extra that was not installed.
OWN_PACKAGES = {"artdream", "display", "producer", "shared", "worker"}

#: Exit codes, besides 0 for success.
ERROR_EXIT_CODE, USAGE_EXIT_CODE, INTERRUPT_EXIT_CODE = 1, 2, 130


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
for group in (
    component_commands,
    photo_commands,
    evening_commands,
    inspection_commands,
    network_pictures,
    training,
    stylizer,
):
    app.add_typer(group)
app.add_typer(recipes, name="recipes")
app.add_typer(networks, name="networks")
app.add_typer(dataset, name="dataset")
app.add_typer(jobs, name="jobs")
app.add_typer(api_keys, name="api-key")
app.add_typer(webhooks, name="webhook")
app.add_typer(deploy, name="deploy")
command(app, examples=["artdream rebuild"])(rebuild)
command(app, name="c2pa-key", examples=['artdream c2pa-key keys --organization "Museum of Example"'])(c2pa_key)


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


def main() -> None:
    """Run the command line. An expected error prints one sentence on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # As stderr: a file's name may be no valid text.
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
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OWN_PACKAGES:
            raise
        _exit_with_error(
            f"This needs {package}, which is not installed here: run it on a machine with a worker, or install the "
            "extra of artdream that brings it.",
            ERROR_EXIT_CODE,
        )


def _exit_with_error(message: str, exit_code: int) -> None:
    if is_json_logging():
        logging.getLogger("artdream").error("%s", message)
    else:
        print_message(message)
    sys.exit(exit_code)
