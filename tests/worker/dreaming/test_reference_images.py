"""Artworks are not fetched again for every dream, and a new one is seen soon."""

import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.errors import ArtDreamError
from shared.storage.object_names import reference_name
from shared.storage.store import Store
from worker.dreaming.reference_images import REFRESH_SECONDS, ReferenceImages


@pytest.fixture
def requests(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what is read from the store from now on."""
    requests: list[str] = []
    get, list_objects = store.get, store.list_objects

    def record(function: Callable[[str], Any], name: str) -> Any:
        requests.append(name)
        return function(name)

    monkeypatch.setattr(store, "get", partial(record, get))
    monkeypatch.setattr(store, "list_objects", partial(record, list_objects))
    return requests


def put_artwork(store: Store, file: str, shade: int) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(buffer, "PNG")
    store.put(reference_name("ada", file), buffer.getvalue())


def test_an_artwork_is_fetched_once_for_many_dreams(store: Store, requests: list[str]) -> None:
    """Seen failing: each dream listed the artist's works, fetched one and decoded it."""
    put_artwork(store, "one.png", 1)
    reference_images = ReferenceImages(store)
    for seed in range(3):
        assert reference_images.load_artwork("ada", seed).name == "ada/one.png"
        assert reference_images.load_artwork("house/wave.jpg", seed).pixels.ndim == 3
    assert len(requests) == 3


def test_an_artwork_that_was_changed_or_added_is_seen_within_a_minute(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reference_images = ReferenceImages(store)
    with pytest.raises(ArtDreamError, match="no artwork ada/one"):
        reference_images.load_artwork("ada/one.png", 0)
    put_artwork(store, "one.png", 1)
    assert reference_images.load_artwork("ada/one.png", 0).pixels.max() == 1
    put_artwork(store, "one.png", 2)
    now += REFRESH_SECONDS
    assert reference_images.load_artwork("ada/one.png", 0).pixels.max() == 2
