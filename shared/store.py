"""Object storage: photos, dreams, frames and sidecars, by name, through one door."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.errors import ArtDreamError


def photo_name(photo_id: str) -> str:
    """Return the object name of a photo."""
    return f"photos/{photo_id}.jpg"


def dream_name(job_id: str) -> str:
    """Return the object name of a finished dream."""
    return f"dreams/{job_id}/dream.jpg"


def sidecar_name(job_id: str) -> str:
    """Return the object name of what is known about a dream."""
    return f"dreams/{job_id}/dream.json"


def frame_name(job_id: str, index: int) -> str:
    """Return the object name of one intermediate picture, counted from 0."""
    return f"{frames_folder(job_id)}{index:02d}.jpg"


def frames_folder(job_id: str) -> str:
    """Return what the names of a dream's frames begin with."""
    return f"dreams/{job_id}/frames/"


def clip_name(job_id: str) -> str:
    """Return the object name of the video from the photo into the dream and back."""
    return f"dreams/{job_id}/clip.mp4"


def preview_name(job_id: str) -> str:
    """Return the object name of the same clip as a small animated picture."""
    return f"dreams/{job_id}/clip.webp"


def zoom_name(job_id: str) -> str:
    """Return the object name of the video into the dream without end."""
    return f"dreams/{job_id}/zoom.mp4"


#: Where the artworks lie that an installation owns.
REFERENCES = "references/"


def reference_name(artist: str, file: str) -> str:
    """Return the object name of an artwork."""
    return f"{REFERENCES}{artist}/{file}"


_CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webp": "image/webp",
}


class StoreError(ArtDreamError):
    """The store is away or refuses; the same call may be tried again."""


@dataclass(frozen=True)
class Entry:
    """What a listing tells of one object."""

    name: str
    modified: datetime


class Store:
    """A place for objects: a folder, S3, GCS, Azure, by URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._objects = _open(url)

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all. Raises StoreError."""
        content_type = _CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        # Folders cannot keep a content type.
        attributes = None if isinstance(self._objects, LocalStore) else {"Content-Type": content_type}
        try:
            obstore.put(self._objects, name, data, attributes=attributes)
        except (BaseError, OSError) as error:
            raise StoreError(f"{name} could not be written to the store {self.url}: {_first_line(error)}.") from error

    def get(self, name: str) -> bytes | None:
        """Read an object; None where there is none. Raises StoreError."""
        try:
            return bytes(obstore.get(self._objects, name).bytes())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreError(f"{name} could not be read from the store {self.url}: {_first_line(error)}.") from error

    async def get_async(self, name: str) -> bytes | None:
        """Read an object without blocking the event loop; None where there is none. Raises StoreError."""
        try:
            result = await obstore.get_async(self._objects, name)
            return bytes(await result.bytes_async())
        except FileNotFoundError:
            return None
        except (BaseError, OSError) as error:
            raise StoreError(f"{name} could not be read from the store {self.url}: {_first_line(error)}.") from error

    def delete(self, name: str) -> None:
        """Remove an object; nothing happens where there is none. Raises StoreError."""
        try:
            obstore.delete(self._objects, name)
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise StoreError(f"{name} could not be removed from the store {self.url}: {_first_line(error)}.") from error

    def entries(self, prefix: str) -> Iterator[Entry]:
        """List the objects whose names begin with a folder prefix, in no order. Raises StoreError."""
        try:
            for chunk in obstore.list(self._objects, prefix):
                for meta in chunk:
                    yield Entry(meta["path"], meta["last_modified"])
        except (BaseError, OSError) as error:
            raise StoreError(f"The store {self.url} could not be listed: {_first_line(error)}.") from error


def _open(url: str) -> ObjectStore:
    if url.startswith("file:"):
        folder = Path(unquote(urlsplit(url).path))
        try:
            return LocalStore(folder, mkdir=True, automatic_cleanup=True)
        except (BaseError, OSError) as error:
            raise StoreError(f"The store's folder {folder} cannot be used: {_first_line(error)}.") from error
    try:
        return from_url(url)
    except (BaseError, ValueError) as error:
        raise ArtDreamError(f"The store's URL {url} is not one that can be opened: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
