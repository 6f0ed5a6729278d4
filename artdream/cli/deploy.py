"""`artdream deploy`: check remote machines."""

from pathlib import Path
from typing import Annotated

import typer

from artdream.cli.options import console, load_settings

deploy = typer.Typer(help="Other machines: check.", no_args_is_help=True)


@deploy.callback()
def other_machines() -> None:
    """Other machines: check."""


@deploy.command()
def check(
    host: Annotated[str, typer.Argument(metavar="USER@HOST", help="An SSH host; with :PORT where that is not 22.")],
    key: Annotated[Path | None, typer.Option("--key", help="A private key, instead of ARTDREAM_SSH_KEY.")] = None,
) -> None:
    """Say what a machine lacks to dream for this installation, one line each. Nothing on it is changed."""
    from artdream.cli.remote_check import check_machine  # Imported here: paramiko takes half a second.

    if not check_machine(load_settings(ssh=host, ssh_key=key), console):
        raise typer.Exit(1)
