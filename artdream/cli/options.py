"""Shared options of the commands, and the functions that load settings and validate options."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shared.errors import ArtDreamError
from shared.recipe.canvas import LONG_SIDES
from shared.recipe.recipe import load_recipe
from shared.settings import Settings
from shared.ssh.broker_tunnel import open_broker_tunnel

console = Console(highlight=False)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of broker file, store and ledger [./artdream-data].")
]
InboxOption = Annotated[Path | None, typer.Option("--inbox", help="Folder to watch for photos [./inbox].")]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="How to dream, several with commas; `artdream recipes` lists them.")
]
PortOption = Annotated[int | None, typer.Option("--port", help="Port of the display [8501].")]
OutOption = Annotated[Path | None, typer.Option("--out", help="Folder that the dreams are put into.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="The same seed gives the same dream.")]


def load_settings(**overrides: object) -> Settings:
    """Read the settings. overrides: values of the command line, which take precedence; None for an option not given.

    Raises ArtDreamError for an invalid setting.
    """
    settings = Settings.read(**overrides)
    for name in settings.recipes:
        load_recipe(name)  # Report an unknown recipe now, not at the first photo.
    return settings


def load_settings_with_broker(**overrides: object) -> AbstractContextManager[Settings]:
    """Read the settings, and return a context in which the broker is reachable, through SSH if configured."""
    return open_broker_tunnel(load_settings(**overrides))


def validate_canvas_side(side: int) -> int:
    """Return `side` if it is the long side of a canvas, in pixels. Raises ArtDreamError for any other."""
    if side not in LONG_SIDES:
        raise ArtDreamError(f"There is no canvas of {side} px: take one of {', '.join(map(str, LONG_SIDES))}.")
    return side


def create_command_group(help: str) -> typer.Typer:
    """Return an empty group of commands whose callback also runs without a subcommand."""
    return typer.Typer(help=help, invoke_without_command=True)
