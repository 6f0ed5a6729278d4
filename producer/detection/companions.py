"""Companions: files that a phone or a photo program writes beside a picture, and that are no photos of their own."""

from collections.abc import Collection
from pathlib import PurePath

from producer.decoding.video import LIVE_PHOTO_SUFFIX

#: Endings of files that only describe how a picture was edited.
_EDITS = {".aae", ".xmp"}

#: Endings of pictures.
_PICTURES = (".heic", ".heif", ".hif", ".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".dng")


def is_companion(name: str, siblings: Collection[str]) -> bool:
    """Return whether a file belongs to a picture beside it, or only describes edits.

    siblings: names of the files in its folder, in lower case.
    """
    path = PurePath(name.lower())
    if path.suffix == LIVE_PHOTO_SUFFIX:
        return any(path.stem + suffix in siblings for suffix in _PICTURES)
    return path.suffix in _EDITS
