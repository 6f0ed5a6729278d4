"""`artdream deploy`: check remote machines."""

from pathlib import Path
from typing import Annotated

import typer

from artdream.cli.checks import report_results
from artdream.cli.command import CommandGroup, command
from artdream.cli.options import JsonOption, load_settings

deploy = typer.Typer(cls=CommandGroup, help="Check remote machines.", no_args_is_help=True)


@command(deploy, "check", examples=["artdream deploy check artist@vm.example"])
def check(
    host: Annotated[str, typer.Argument(metavar="USER@HOST", help="The SSH host; USER@HOST:PORT if not port 22.")],
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Private key, instead of ARTDREAM_SSH_KEY.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check over SSH whether a machine can run a worker. Nothing on it is changed."""
    from artdream.cli.remote_check import check_machine  # Imported here: paramiko takes half a second.

    report_results(check_machine(load_settings(ssh=host, ssh_key=key)), as_json=as_json)
