"""Photos: whether one is in the store."""

from shared.errors import ArtDreamError
from shared.storage.object_names import photo_name, working_photo_name
from shared.storage.store import Store


def has_photo(store: Store, photo_id: str) -> bool:
    """Return whether a photo is in the store, in full or as its working photo. Raises StoreError."""
    return any(store.exists(make_name(photo_id)) for make_name in (photo_name, working_photo_name))


def require_photo(store: Store, photo_id: str, owner: str) -> None:
    """Raise ArtDreamError if a photo is not in the store, StoreError if that is unavailable. owner: as “job 4be2”."""
    if not has_photo(store, photo_id):
        raise ArtDreamError(f"The photo of {owner} is no longer in the store: send it again.")
