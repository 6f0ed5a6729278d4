"""Commands that keep an evening: as a film, and as a contact sheet."""

import os
from pathlib import Path
from typing import Annotated

import typer

from artdream.cli.command import command
from artdream.cli.options import (
    DataOption,
    FontOption,
    SinceOption,
    SubtitleOption,
    TitleOption,
    UntilOption,
    console,
    load_settings,
)
from shared.ssh.broker_tunnel import open_broker_tunnel

#: Niceness of `artdream film`, as that of the clips that workers make.
FILM_NICENESS = 10

#: The commands.
evening_commands = typer.Typer()


@command(
    evening_commands,
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


@command(
    evening_commands, name="contact-sheet", examples=["artdream contact-sheet evening.pdf --since 2026-11-29T18:00"]
)
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
