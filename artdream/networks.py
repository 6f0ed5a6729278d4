"""What `artdream networks` prints."""

from rich.console import Console
from rich.table import Table

from shared.settings import Settings
from shared.store import Store
from worker.networks import Networks

#: Classes that are named where not all are asked for.
FEW = 5

MEGABYTE = 1e6


def show_list(settings: Settings, out: Console) -> None:
    """Print a line for each network. Raises StoreError where the store is away."""
    table = Table("Network", "Source", "Size", "Licence", "Layers", "Classes", "Here", box=None, header_style="dim")
    table.columns[0].no_wrap = True
    for known in _networks(settings).known():
        table.add_row(
            known.name,
            known.source,
            f"{known.size / MEGABYTE:.0f} MB" if known.size else "",
            known.licence,
            str(known.layers or ""),
            str(known.classes),
            "yes" if known.here else "no",
        )
    out.print(table)
    out.print("What is not here comes with `artdream networks fetch NAME`.", style="dim")


def show_network(settings: Settings, name: str, out: Console, *, every_class: bool) -> None:
    """Load a network and print its layers, with channels and stride, and its classes.

    Raises ArtDreamError where the network is unknown, not here, or refused.
    """
    network = _networks(settings).load(name)
    table = Table("Layer", "Channels", "Stride", box=None, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    strides = network.strides()
    for layer in network.layers:
        table.add_row(layer, str(network.channel_count(layer)), f"{strides[layer]} px" if layer in strides else "")
    out.print(table)
    count = len(network.classes)
    told = network.classes if every_class else network.classes[:FEW]
    more = f", … {count - FEW} more (--classes)" if len(told) < count else ""
    lines = [
        f"{name}: {len(network.layers)} layers, sha256 {network.digest[:12]}…, computes in {network.precision}.",
        f"{count} classes: {', '.join(told)}{more}." if count else "It tells no classes apart.",
    ]
    for line in lines:
        out.print(line, soft_wrap=True, markup=False)


def fetch(settings: Settings, name: str, out: Console) -> None:
    """Fetch the weights of a network and say where they are.

    Raises ArtDreamError where the network is unknown or its weights cannot be fetched.
    """
    path = _networks(settings).fetch(name)
    out.print(f"The weights of {name} are here: {path}", soft_wrap=True, markup=False)


def _networks(settings: Settings) -> Networks:
    # Where nothing was ever stored there is no folder, and asking makes none.
    store = Store(settings.store) if settings.store_url or settings.data.exists() else None
    return Networks(settings.weights, store, settings.precision)
