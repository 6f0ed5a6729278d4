"""`artdream recipes`: the ways to dream, and one photo dreamt in all of them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from artdream.options import SeedOption, chosen_settings, group, known_canvas, out
from shared.recipe import load_recipe, recipe_names

recipes = group("The ways to dream: list, sheet.")


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

    sheet_file(source, target, known_canvas(canvas), seed, chosen_settings(), out)
