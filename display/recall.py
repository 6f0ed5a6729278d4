"""Recall: the newest dreams from the store alone, for a display that starts."""

import heapq
import logging

from pydantic import ValidationError

from display.scene import Dream
from shared.sidecar import Sidecar
from shared.store import Store

_LOG = logging.getLogger(__name__)

#: Sidecars that are read beyond those wanted, so that a few bad ones leave no gap.
_SPARE = 8


def recall(store: Store, count: int) -> list[Dream]:
    """Read the newest `count` dreams, in no order; a sidecar that cannot be read is left out. Raises StoreError."""
    sidecars = (entry for entry in store.entries("dreams/") if entry.name.endswith("/dream.json"))
    newest = heapq.nlargest(count + _SPARE, sidecars, key=lambda entry: entry.modified)
    dreams = []
    for entry in newest:
        text = store.get(entry.name)
        if text is None:  # deleted since it was listed
            continue
        try:
            dreams.append(Dream.of(Sidecar.model_validate_json(text)))
        except ValidationError as error:
            _LOG.info("%s is not a sidecar known here: %s", entry.name, error.errors()[0]["msg"])
    return dreams[:count]
