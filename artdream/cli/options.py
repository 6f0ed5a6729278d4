"""Shared options of the commands, the functions that load settings and validate options, and JSON output."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import to_json
from rich.console import Console

from artdream.cli.completion import complete_network, complete_recipe
from shared.errors import ArtDreamError
from shared.jobs.job import MAX_SEED
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.recipe import load_recipe
from shared.settings import ENV_PREFIX, Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

console = Console(highlight=False)

_LONG_SIDES = ", ".join(map(str, LONG_SIDES))


def _default(setting: str) -> str:
    return str(Settings.model_fields[setting].default)


#: How the names of contact sheets end.
SHEET_SUFFIXES = (".jpg", ".jpeg", ".png")

#: Ends the help of options that may be given several times.
REPEAT_HINT = " Repeat the option for several."


def declare_recipe_option(default: str, hint: str = REPEAT_HINT) -> Any:
    """Return the declaration of --recipe. default: what applies without it. hint: ends its help."""
    return typer.Option(
        "--recipe",
        metavar="RECIPE",
        help=f"A name that `artdream recipes` lists, or a .toml file.{hint}",
        show_default=default,
        autocompletion=complete_recipe,
    )


def declare_network_option(help_text: str, name: str = "--network", *, show_default: bool | str = True) -> Any:
    """Return the declaration of an option that takes a network. show_default: what applies without it."""
    return typer.Option(
        name, metavar="NETWORK", help=help_text, show_default=show_default, autocompletion=complete_network
    )


def declare_seed_option(effect: str, maximum: int | None = None) -> Any:
    """Return the declaration of --seed. effect: what the same seed does."""
    return typer.Option("--seed", metavar="N", min=0, max=maximum, help=f"Random seed: the same seed {effect}.")


def declare_canvas_option(*, show_default: bool | str = True) -> Any:
    """Return the declaration of --canvas. show_default: what applies without it."""
    return typer.Option(
        "--canvas", metavar="PIXELS", help=f"Long side of the canvas: {_LONG_SIDES}.", show_default=show_default
    )


def declare_sheet_option(contents: str) -> Any:
    """Return the declaration of --sheet, whose file name is checked before any work. contents: what the sheet shows."""
    return typer.Option(
        "--sheet",
        metavar="FILE",
        help=f"Also write a contact sheet {contents}, JPEG or PNG.",
        callback=_validate_sheet,
    )


def _validate_sheet(context: typer.Context, target: Path | None) -> Path | None:
    if target is not None and not context.resilient_parsing:
        if target.suffix.lower() not in SHEET_SUFFIXES:
            raise UsageError(f"A contact sheet is a JPEG or PNG: end {target} with .jpg or .png.")
        require_folder(target, UsageError)
    return target


def require_folder(target: Path, error: type[ArtDreamError] = ArtDreamError) -> None:
    """Raise an error if the folder of a file that is to be written does not exist."""
    if not target.absolute().parent.is_dir():
        raise error(f"The folder of {target} does not exist: create it first.")


DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="The installation's data folder: broker address, store, ledger and logs.",
        show_default=_default("data"),
    ),
]
InboxOption = Annotated[
    Path | None,
    typer.Option("--inbox", metavar="FOLDER", help="Folder to watch for photos.", show_default=_default("inbox")),
]
RecipesOption = Annotated[list[str] | None, declare_recipe_option(f"{ENV_PREFIX}RECIPE")]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        metavar="ADDRESS",
        help="Address that the display listens on; 0.0.0.0 opens it to the network.",
        show_default=_default("host"),
    ),
]
PortOption = Annotated[
    int | None, typer.Option("--port", metavar="PORT", help="Port of the display.", show_default=_default("port"))
]
PrinterOption = Annotated[
    str | None,
    typer.Option(
        "--printer",
        metavar="NAME",
        help="CUPS queue to print on, or an address as ipp://host/ipp/print.",
        show_default="no printing",
    ),
]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to save the dreams in.")]
SeedOption = Annotated[int, declare_seed_option("gives the same dream", MAX_SEED)]
CanvasOption = Annotated[int, declare_canvas_option()]
PhotoArgument = Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo: HEIC, JPEG, PNG, WebP, TIFF or AVIF.")]
TargetArgument = Annotated[Path, typer.Argument(metavar="OUT", help="The file to write: .jpg, .png or .webp.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

#: Formats of --since and --until.
_TIME_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]

SinceOption = Annotated[
    datetime | None,
    typer.Option(
        "--since",
        metavar="TIME",
        formats=_TIME_FORMATS,
        help="Time of the first dream, such as 2026-11-29 or 2026-11-29T18:00, on the clock of this machine.",
        show_default="start of the current event",
    ),
]
UntilOption = Annotated[
    datetime | None,
    typer.Option(
        "--until", metavar="TIME", formats=_TIME_FORMATS, help="Time before which dreams are shown.", show_default="now"
    ),
]
TitleOption = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", help="Title of the evening.", show_default="the event's")
]
SubtitleOption = Annotated[
    str | None,
    typer.Option("--subtitle", metavar="TEXT", help="Line below the title.", show_default="the event's, or the date"),
]
FontOption = Annotated[
    Path | None,
    typer.Option(
        "--font",
        metavar="FILE",
        help="TrueType font with the letters of the titles, for languages that Newsreader does not have.",
        show_default="Newsreader",
    ),
]

DATASET_HELP = "A data set that `artdream dataset organize` wrote."
NETWORK_HELP = "A name that `artdream networks` lists, or a .keras file."
NetworkArgument = Annotated[str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP, autocompletion=complete_network)]


class UsageError(ArtDreamError):
    """Options that do not go together, or a value that an option does not take."""


class InterruptedCommand(ArtDreamError):
    """The command was interrupted with Ctrl-C; the sentence says what continues without it."""


def load_settings(*, recipes: Sequence[str] | None = None, **overrides: object) -> Settings:
    """Read the settings. overrides: values of the command line, which take precedence; None for an option not given.

    recipes: values of --recipe, each a name or several with commas. Raises ArtDreamError for an invalid setting.
    """
    settings = Settings.read(recipe=",".join(recipes) if recipes else None, **overrides)
    for name in settings.recipes:
        load_recipe(name)  # Report an unknown recipe now, not at the first photo.
    return settings


def load_settings_with_broker(
    *, recipes: Sequence[str] | None = None, **overrides: object
) -> AbstractContextManager[Settings]:
    """Read the settings, and return a context in which the broker is reachable, through SSH if configured."""
    return open_broker_tunnel(load_settings(recipes=recipes, **overrides))


def validate_canvas_side(side: int) -> int:
    """Return `side` if it is the long side of a canvas, in pixels. Raises UsageError for any other."""
    if side not in LONG_SIDES:
        raise UsageError(f"There is no canvas of {side} px: choose one of {_LONG_SIDES}.")
    return side


def print_json(document: object) -> None:
    """Print a pydantic model, or a list of such, as one JSON document on stdout."""
    typer.echo(to_json(document, indent=2).decode())
