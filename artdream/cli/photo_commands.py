"""Commands that dream photos: in this process, or as jobs of an installation."""

from typing import Annotated

import typer

from artdream.cli.command import command
from artdream.cli.options import (
    DataOption,
    OutOption,
    PhotoArgument,
    SeedOption,
    TargetArgument,
    UsageError,
    console,
    declare_canvas_option,
    declare_network_option,
    declare_recipe_option,
    load_settings,
    load_settings_with_broker,
    validate_canvas_side,
)
from shared.jobs.job import Lane
from shared.recipe.painters import PAINTING_NETWORK
from shared.recipe.recipe import load_recipe
from shared.settings import ENV_PREFIX

#: The commands.
photo_commands = typer.Typer()


@command(
    photo_commands,
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
        str, declare_network_option("With --artist: network that knows the painter.")
    ] = PAINTING_NETWORK,
    seed: SeedOption = 0,
    canvas: Annotated[int | None, declare_canvas_option(show_default="the recipe's")] = None,
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
    photo_commands,
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


@command(photo_commands, examples=["artdream collect 1129-7f3a --wait --out dreams"])
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
