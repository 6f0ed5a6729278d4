"""Erasure: what a deleted dream leaves behind is a tombstone, so that nothing brings it back."""

import json
import time

from shared.storage.object_names import dream_prefix, sidecar_name, tombstone_name
from shared.storage.store import Store


def write_tombstone(store: Store, job_id: str) -> None:
    """Mark a dream as deleted for good. Raises StoreError."""
    store.put(tombstone_name(job_id), json.dumps({"job_id": job_id, "deleted_at": time.time()}).encode())


def has_tombstone(store: Store, job_id: str) -> bool:
    """Tell whether a dream was deleted. Raises StoreError."""
    return store.get(tombstone_name(job_id)) is not None


def delete_dream_objects(store: Store, job_id: str) -> None:
    """Delete everything of a dream but its photo and its tombstone; may be repeated. Raises StoreError."""
    store.delete(sidecar_name(job_id))  # first: whatever has no sidecar is never shown again
    for entry in list(store.list_objects(dream_prefix(job_id))):
        store.delete(entry.name)
