"""Deletion: remove a dream's objects and leave a tombstone, so that it is never processed or shown again."""

import json
import time

from shared.storage.object_names import (
    dream_prefix,
    motion_name,
    photo_name,
    sidecar_name,
    tombstone_name,
    working_photo_name,
)
from shared.storage.store import Store


def write_tombstone(store: Store, job_id: str) -> None:
    """Write the tombstone that marks a dream as deleted for good. Raises StoreError."""
    store.put(tombstone_name(job_id), json.dumps({"job_id": job_id, "deleted_at": time.time()}).encode())


def has_tombstone(store: Store, job_id: str) -> bool:
    """Return whether a dream was deleted. Raises StoreError."""
    return store.exists(tombstone_name(job_id))


def delete_dream_objects(store: Store, job_id: str) -> None:
    """Delete all objects of a dream except its photo and its tombstone. Idempotent. Raises StoreError."""
    store.delete(sidecar_name(job_id))  # first, because a dream without a sidecar is never shown again
    for entry in list(store.list_objects(dream_prefix(job_id))):
        store.delete(entry.name)


def delete_photo_objects(store: Store, photo_id: str) -> None:
    """Delete a photo, its working photo and the video that it was taken from. Idempotent. Raises StoreError."""
    for make_name in (photo_name, working_photo_name, motion_name):
        store.delete(make_name(photo_id))
