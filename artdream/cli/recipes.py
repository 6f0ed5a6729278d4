"""`artdream recipes`: list recipes, render a photo with all of them, and write recipes of painters."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field

from artdream.cli.command import LIST_GROUP_HELP, ListGroup, command
from artdream.cli.completion import complete_network
from artdream.cli.networks import open_networks
from artdream.cli.options import (
    NETWORK_HELP,
    CanvasOption,
    DataOption,
    JsonOption,
    PhotoArgument,
    SeedOption,
    TargetArgument,
    UsageError,
    console,
    declare_recipe_option,
    load_settings,
    print_json,
    validate_canvas_side,
)
from artdream.cli.tables import print_with_notes
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

recipes = typer.Typer(cls=ListGroup, help=f"List recipes, and render a photo with several of them.{LIST_GROUP_HELP}")


class ListedRecipe(BaseModel):
    """A recipe in the list."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    name: str = Field(description="Name of the recipe.")
    version: int = Field(description="Its version.")
    title: str = Field(description="Title that guests read.")
    description: str = Field(description="What it does.")
    network: str = Field(description="Its network.")
    canvas: int = Field(description="Long side in pixels at which the photo is processed.")


@command(recipes, "list", examples=["artdream recipes", "artdream recipes list --json"])
def list_recipes(as_json: JsonOption = False) -> None:
    """List the bundled recipes, without those of painters."""
    listed_recipes = [ListedRecipe.model_validate(load_recipe(name)) for name in list_recipe_names()]
    if as_json:
        print_json(listed_recipes)
        return
    rows = [
        ((recipe.name, recipe.title, recipe.network, f"{recipe.canvas} px"), recipe.description)
        for recipe in listed_recipes
    ]
    print_with_notes(("Recipe", "Title", "Network", "Canvas"), rows, console)
    console.print(
        f"There are two more for each of {len(PAINTERS)} painters, such as more-paul-klee and hybrid-paul-klee: "
        "`artdream recipes painters` lists them.",
        style="dim",
    )


@command(
    recipes,
    "sheet",
    examples=[
        "artdream recipes sheet photo.heic sheet.jpg",
        "artdream recipes sheet photo.heic sheet.jpg --recipe lines --recipe night",
    ],
)
def sheet(
    source: PhotoArgument,
    target: TargetArgument,
    seed: SeedOption = 0,
    canvas: CanvasOption = 512,
    recipe: Annotated[list[str] | None, declare_recipe_option("all that are listed")] = None,
    data: DataOption = None,
) -> None:
    """Render a photo with several recipes, side by side on one sheet."""
    from artdream.cli.dream import render_contact_sheet

    settings = load_settings(recipes=recipe, data=data)
    render_contact_sheet(
        source,
        target,
        settings.recipes if recipe else list_recipe_names(),
        validate_canvas_side(canvas),
        seed,
        settings,
        console,
    )


@command(
    recipes, "painters", examples=["artdream recipes painters", "artdream recipes painters artist/mine --out recipes"]
)
def painters(
    network: Annotated[
        str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP, autocompletion=complete_network)
    ] = PAINTING_NETWORK,
    target: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Folder to write a recipe file for each painter to.")
    ] = None,
    data: DataOption = None,
) -> None:
    """List the painters' recipes, or write those of any network as files that you can edit."""
    if target is None and network == PAINTING_NETWORK:
        for name, painter in painters_by_recipe().items():
            console.print(f"{name:36} {painter}", markup=False)
        return
    if target is None:
        raise UsageError(f"Only the recipes of {PAINTING_NETWORK} are bundled: write those of {network} with --out.")
    classes = open_networks(load_settings(data=data)).load(network).classes
    if not classes:
        raise ArtDreamError(f"The network {network} has no classes, so it knows no painters.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for painter in classes:
            for kind in RECIPE_KINDS:
                (target / f"{kind}-{slugify_painter(painter)}.toml").write_text(
                    render_painter_recipe(kind, painter, network), encoding="utf-8"
                )
    except OSError as error:
        raise ArtDreamError(f"The recipes cannot be written to {target}: {error.strerror}.") from error
    console.print(f"{target}: {len(classes) * len(RECIPE_KINDS)} recipes of {len(classes)} painters.", markup=False)
