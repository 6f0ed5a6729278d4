"""Commands that tell about an installation, and about the files that come from one."""

from pathlib import Path
from typing import Annotated

import typer

from artdream.cli.command import command
from artdream.cli.options import (
    DataOption,
    InboxOption,
    JsonOption,
    console,
    load_settings,
    load_settings_with_broker,
    print_json,
)

#: The commands.
inspection_commands = typer.Typer()


@command(inspection_commands, examples=["artdream status", "artdream status --json"])
def status(as_json: JsonOption = False, data: DataOption = None) -> None:
    """Show running components, queue lengths and recent errors."""
    from artdream.cli.status import print_status, read_status

    with load_settings_with_broker(data=data) as settings:
        if as_json:
            print_json(read_status(settings))
        else:
            print_status(settings, console)


@command(inspection_commands, examples=["artdream numbers --days 7 --csv", "artdream numbers --json"])
def numbers(
    days: Annotated[
        int, typer.Option("--days", metavar="N", min=1, max=4000, help="The last N days; a day begins at 6:00.")
    ] = 1,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table: one row for each hour.")] = False,
    as_json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Show photos, dreams, waiting times, opened links, saved dreams and prints by hour, and compared recipes."""
    from artdream.cli.numbers import make_document, print_csv, print_numbers, read_numbers

    with load_settings_with_broker(data=data) as settings:
        read = read_numbers(settings, days)
    if as_json:
        print_json(make_document(read))
    elif as_csv:
        print_csv(read)
    else:
        print_numbers(read, console)


@command(inspection_commands, examples=["artdream doctor", "artdream doctor --json"])
def doctor(inbox: InboxOption = None, as_json: JsonOption = False, data: DataOption = None) -> None:
    """Check this machine and its installation, and say how to fix each problem."""
    from artdream.cli.checks import report_results
    from artdream.cli.doctor import run_checks

    report_results(run_checks(load_settings(inbox=inbox, data=data)), as_json=as_json)


@command(inspection_commands, examples=["artdream explain dream.jpg", "artdream explain dream.jpg --render again.jpg"])
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
