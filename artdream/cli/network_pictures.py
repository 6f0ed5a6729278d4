"""Commands that render what networks respond to."""

from typing import Annotated

import typer

from artdream.cli.command import command
from artdream.cli.options import (
    REPEAT_HINT,
    CanvasOption,
    DataOption,
    PhotoArgument,
    SeedOption,
    TargetArgument,
    UsageError,
    console,
    declare_network_option,
    load_settings,
    validate_canvas_side,
)
from shared.recipe.painters import CLASSIFIER_NETWORK

#: Default layers of `artdream compare`.
COMPARED_LAYERS = ("block5", "block8", "block10", "block12", "head")

#: The commands.
network_pictures = typer.Typer()


@command(
    network_pictures,
    examples=[
        "artdream look out.jpg --layer block10 --channel 102",
        "artdream look out.jpg --class peacock --steps 512",
    ],
)
def look(
    target: TargetArgument,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="LAYER", help="A layer that `artdream networks show NETWORK` lists."),
    ] = None,
    channel: Annotated[
        int | None, typer.Option("--channel", metavar="N", min=0, help="One channel of the layer.", show_default="all")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="A class of the network, instead of a layer.")
    ] = None,
    network: Annotated[str, declare_network_option("Network to look into; `artdream networks` lists them.")] = "lite",
    canvas: CanvasOption = 512,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=1, max=2000, help="Steps of gradient ascent: more show more detail."),
    ] = 128,
    seed: SeedOption = 0,
    data: DataOption = None,
) -> None:
    """Render from noise what a layer, a channel or a class of a network responds to most."""
    from artdream.cli.dream import render_feature_visualization

    if (layer is None) == (class_name is None) or (channel is not None and layer is None):
        raise UsageError("Choose what to look at: either --layer, with or without --channel, or --class.")
    if class_name is not None:
        objective: dict[str, object] = {"kind": "classes", "classes": [class_name]}
    elif channel is not None:
        objective = {"kind": "channels", "layer": layer, "channels": [channel]}
    else:
        objective = {"kind": "layers", "layers": {layer: 1.0}}
    render_feature_visualization(
        target, objective, network, validate_canvas_side(canvas), steps, seed, load_settings(data=data), console
    )


@command(network_pictures, examples=["artdream compare photo.heic sheet.jpg --layer block5 --layer block10"])
def compare(
    source: PhotoArgument,
    target: TargetArgument,
    network: Annotated[
        str, declare_network_option("Network that knows painters; `artdream networks` lists them.")
    ] = CLASSIFIER_NETWORK,
    against: Annotated[str, declare_network_option("Network to compare it with.", "--against")] = "lite",
    layers: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            metavar="LAYER",
            help=f"A layer of both networks.{REPEAT_HINT}",
            show_default=", ".join(COMPARED_LAYERS),
        ),
    ] = None,
    canvas: CanvasOption = 512,
    data: DataOption = None,
) -> None:
    """Render a photo through the same layers of two networks, and as eight painters."""
    from artdream.cli.dream import render_comparison

    render_comparison(
        source,
        target,
        (network, against),
        layers or COMPARED_LAYERS,
        validate_canvas_side(canvas),
        load_settings(data=data),
        console,
    )
