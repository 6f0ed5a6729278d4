"""The logo of an event, as it lies in the store."""

import io
import logging

from PIL import Image

from shared.storage.store import Store

logger = logging.getLogger(__name__)


def load_logo(store: Store, name: str) -> Image.Image | None:
    """Return a logo, RGBA; None if it is missing or damaged, which is logged. Raises StoreError.

    name: object name, "" for none. Only PNG is decoded, whatever somebody may have put into the store.
    """
    data = store.get(name) if name else None
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return image.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow's own
        logger.warning("The event's logo %s is damaged in the store, and is left out: %s", name, error)
        return None
