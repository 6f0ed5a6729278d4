"""`artdream recipes`: list recipes, render a photo with all of them, and write recipes of painters."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from artdream.cli.networks import open_networks
from artdream.cli.options import (
    RecipeOption,
    SeedOption,
    console,
    create_command_group,
    load_settings,
    validate_canvas_side,
)
from shared.errors import ArtDreamError
from shared.recipe.painters import (
    PAINTERS,
    PAINTING_NETWORK,
    RECIPE_KINDS,
    painters_by_recipe,
    render_painter_recipe,
    slugify_painter,
)
from shared.recipe.recipe import list_recipe_names, load_recipe

recipes = create_command_group("The ways to dream: list, sheet, painters.")


@recipes.callback()
def recipes_or_list(context: typer.Context) -> None:
    """The ways to dream: list, sheet, painters."""
    if context.invoked_subcommand is None:
        list_recipes()


@recipes.command("list")
def list_recipes() -> None:
    """List the ways to dream."""
    table = Table("Recipe", "Title", "Network", "Canvas", "What it does", box=None, header_style="dim")
    for name in list_recipe_names():
        recipe = load_recipe(name)
        table.add_row(name, recipe.title, recipe.network, f"{recipe.canvas} px", recipe.description)
    console.print(table)
    console.print(
        f"And more-… and hybrid-… of {len(PAINTERS)} painters, as more-paul-klee: `artdream recipes painters`.",
        style="dim",
    )


@recipes.command("sheet")
def sheet(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo: HEIC, JPEG or PNG.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the sheet goes, as JPEG.")],
    seed: SeedOption = 0,
    canvas: Annotated[int, typer.Option("--canvas", help="Long side in pixels that is dreamt at.")] = 512,
    recipe: RecipeOption = None,
) -> None:
    """Dream one photo in every way, or in those that are chosen, side by side."""
    from artdream.cli.dream import render_contact_sheet

    settings = load_settings(recipe=recipe)
    render_contact_sheet(
        source,
        target,
        settings.recipes if recipe else list_recipe_names(),
        validate_canvas_side(canvas),
        seed,
        settings,
        console,
    )


@recipes.command("painters")
def painters(
    network: Annotated[
        str, typer.Argument(help="One that tells painters apart.", metavar="NETWORK")
    ] = PAINTING_NETWORK,
    target: Annotated[Path | None, typer.Option("--out", help="Folder for a recipe file of each.")] = None,
) -> None:
    """List the recipes of a network's painters, or write them as files to use and change."""
    if target is None and network == PAINTING_NETWORK:
        for name, painter in painters_by_recipe().items():
            console.print(f"{name:36} {painter}", markup=False)
        return
    if target is None:
        raise ArtDreamError(f"The recipes of {network} are files: say where they go with --out.")
    classes = open_networks(load_settings()).load(network).classes
    if not classes:
        raise ArtDreamError(f"The network {network} tells no painters apart.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for painter in classes:
            for kind in RECIPE_KINDS:
                (target / f"{kind}-{slugify_painter(painter)}.toml").write_text(
                    render_painter_recipe(kind, painter, network), encoding="utf-8"
                )
    except OSError as error:
        raise ArtDreamError(f"The recipes cannot be written into {target}: {error.strerror}.") from error
    console.print(f"{target}: {len(classes) * len(RECIPE_KINDS)} recipes of {len(classes)} painters.", markup=False)
