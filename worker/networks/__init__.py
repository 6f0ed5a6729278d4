"""The networks that can dream, by name. Loading one imports Keras; listing them does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from shared.errors import ArtDreamError, did_you_mean
from shared.storage.object_names import art_map_name
from shared.storage.store import Store
from worker.networks.catalogue import (
    ARTIST,
    ARTISTS,
    Known,
    atlas_name,
    card_name,
    genuine,
    known_networks,
    network_name,
    stored_artists,
)
from worker.networks.loaders.downloads import PUBLISHED, fetch
from worker.networks.metadata import Card, read_card
from worker.quiet_import import importing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from worker.networks.embedding_map import Atlas
    from worker.networks.loaders.downloads import Weights
    from worker.networks.network import Network

SUFFIX = ".keras"

#: What an artist may be called: one folder of the store, and none above it.
NAME = re.compile(r"\w[\w. -]*")


class Networks:
    """The networks of an installation, each loaded once.

    folder: where the weights of the big networks are fetched into. store: holds artists' networks; None: only the
    bundled ones are known. precision: what convolutions compute in; `auto` chooses by the processor. published: the
    weights that can be fetched.
    """

    def __init__(
        self,
        folder: Path,
        store: Store | None = None,
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        published: Mapping[str, Weights] = PUBLISHED,
    ) -> None:
        self._folder = folder.expanduser()
        self._store = store
        self._precision = precision
        self._published = published
        self._loaded: dict[str, Network] = {}
        self._atlases: dict[str, Atlas | None] = {}

    def load(self, name: str) -> Network:
        """Return a network: `lite`, `inception_v3`, `vgg19`, `artist/<name>`, or a .keras file by path or URL.

        Raises ArtDreamError where it is unknown (naming near ones), its weights are not here, or its file is refused.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def atlas(self, name: str) -> Atlas | None:
        """Return the map of a network that was drawn; None where none was. Raises ArtDreamError where it is damaged."""
        if name not in self._atlases:
            self._atlases[name] = self._atlas(name.removeprefix(ARTIST)) if name.startswith(ARTIST) else None
        return self._atlases[name]

    def offer_maps(self) -> None:
        """Put the maps that came with ArtDream into the store, for displays, where it has none. Raises StoreError."""
        for path in ARTISTS.glob("*/map.json"):
            name = art_map_name(path.parent.name)
            if self._store and self._store.get(name) is None:
                self._store.put(name, path.read_bytes())

    def known(self) -> list[Known]:
        """List the networks that have a name. Raises StoreError where the store is away."""
        return known_networks(self._folder, self._store)

    def fetch(self, name: str) -> Path:
        """Fetch the weights of a big network, showing how far it is, and return where they lie.

        Raises ArtDreamError where there is nothing to fetch for it, or it cannot be fetched.
        """
        if name not in self._published:
            raise ArtDreamError(f"There is nothing to fetch for “{name}”. {did_you_mean(name, self._published)}")
        return fetch(self._published[name], self._folder)

    def _load(self, name: str) -> Network:
        # What needs no Keras comes first: a missing file is told at once.
        published = self._published.get(name)
        path, digest = published.read(self._folder) if published else (None, "")
        content, card = (b"", Card()) if path or name == "lite" else self._file(name)
        with importing():
            from worker.backend.precision import chosen_precision
            from worker.networks.loaders.efficientnet_lite import load_lite
            from worker.networks.loaders.keras_applications import APPLICATIONS
            from worker.networks.loaders.keras_file import load_keras

        precision = chosen_precision(self._precision)
        if name == "lite":
            return load_lite(precision)
        if path:
            return APPLICATIONS[name](path, digest, precision)
        return load_keras(name, content, card, precision)

    def _file(self, name: str) -> tuple[bytes, Card]:
        """Return the file and the card of a network that is one."""
        if name.startswith(ARTIST):
            return self._artist(name.removeprefix(ARTIST))
        if not name.endswith(SUFFIX):
            raise self._unknown(name)
        if name.startswith("file:"):
            return _from_path(Path(unquote(urlsplit(name).path)))
        if "://" not in name:
            return _from_path(Path(name).expanduser())
        parent, _, file = name.rpartition("/")
        store = Store(parent)
        content = store.get(file)
        if content is None:
            raise ArtDreamError(f"There is no network file {name}.")
        card = file.removesuffix(SUFFIX) + ".json"
        return content, read_card(store.get(card), f"{parent}/{card}")

    def _artist(self, artist: str) -> tuple[bytes, Card]:
        bundled = ARTISTS / artist / "network.keras"
        if artist in {path.name for path in ARTISTS.glob("*")} and bundled.exists():
            whole, card = _from_path(bundled)
            return genuine(bundled, whole), card
        content = self._store.get(network_name(artist)) if self._store and NAME.fullmatch(artist) else None
        if content is None or self._store is None:
            raise self._unknown(ARTIST + artist)
        return content, read_card(self._store.get(card_name(artist)), card_name(artist))

    def _atlas(self, artist: str) -> Atlas | None:
        from worker.networks.embedding_map import Atlas

        bundled = ARTISTS / artist / "atlas.npz"
        if artist in {path.name for path in ARTISTS.glob("*")} and bundled.exists():
            return Atlas.read(genuine(bundled, bundled.read_bytes()), str(bundled))
        content = self._store.get(atlas_name(artist)) if self._store and NAME.fullmatch(artist) else None
        return Atlas.read(content, atlas_name(artist)) if content else None

    def _unknown(self, name: str) -> ArtDreamError:
        artists = {path.parent.name for path in ARTISTS.glob("*/network.keras")}
        artists |= set(stored_artists(self._store)) if self._store else set()
        names = ["lite", *self._published, *sorted(ARTIST + artist for artist in artists)]
        return ArtDreamError(f"There is no network “{name}”. {did_you_mean(name, names)}")


def _from_path(path: Path) -> tuple[bytes, Card]:
    card = path.with_suffix(".json")
    try:
        content = path.read_bytes()
        described = card.read_bytes() if card.exists() else None
    except OSError as error:
        raise ArtDreamError(f"The network {path} cannot be read: {error.strerror}.") from error
    return content, read_card(described, str(card))
