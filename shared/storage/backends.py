"""What a store stands on: a folder, a bucket, or this process's memory, through obstore."""

import functools
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store, from_url

from shared.errors import ArtDreamError

#: What a place raises where it is away, or refuses; FileNotFoundError where there is no such object.
BACKEND_ERRORS = (BaseError, OSError)

#: Bytes of one part of an upload, and of one piece of a download.
PART_SIZE_BYTES = 5 * 1024**2

#: How often an object is read whose bytes do not fit its tag: the same twice is what the store has.
READ_ATTEMPTS = 3

#: Seconds for which a link may hold: what S3 allows at most.
MAX_PRESIGNED_URL_SECONDS = 7 * 24 * 3600

#: A server that restarts is waited for; one that is gone is told after some seconds, ten at most.
_RETRY_CONFIG: Any = {
    "max_retries": 12,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=2), "base": 2},
}

#: A connection that says nothing for half a minute is dead; a slow one that keeps moving is not.
_CLIENT_TIMEOUTS: Any = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "10min"}

#: How the variables begin that a kind of bucket is set up by, and the options among them that are the connection's.
_VARIABLE_PREFIXES = {"s3": "AWS", "s3a": "AWS", "gs": "GOOGLE", "az": "AZURE", "abfs": "AZURE", "abfss": "AZURE"}
_CLIENT_OPTIONS = ("allow_http", "allow_invalid_certificates", "proxy_url", "root_certificate")

#: What an answer says where not only the object is missing but all that should be around it.
_MISSING_BUCKET_PATTERN = re.compile("NoSuchBucket|ContainerNotFound|specified bucket does not exist")


class StoreBackend(Protocol):
    """Where objects lie. Every call may be repeated, and may come from several threads."""

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object, whole or not at all."""

    def get(self, name: str) -> bytes:
        """Read an object."""

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop."""

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""

    def delete(self, name: str) -> None:
        """Remove an object."""

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""

    def presign_url(self, name: str, seconds: float) -> str | None:
        """Return an address that anyone may read an object from for a while; None where there are none."""


class ObstoreBackend:
    """Everything that obstore opens."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object, whole or not at all; where the server tells what arrived, that is checked."""
        # Folders cannot keep a content type.
        attributes = None if isinstance(self._store, LocalStore) else {"Content-Type": content_type}
        written = obstore.put(self._store, name, data, attributes=attributes, chunk_size=PART_SIZE_BYTES)
        # Not every S3 server looks at the checksum it is sent; and the tag of one that encrypts tells nothing.
        if not self._matches_etag(data, written["e_tag"]) and self.get(name) != data:
            raise OSError("it arrived damaged")

    def get(self, name: str) -> bytes:
        """Read an object; where the server tells what was put there, that is what is returned."""
        before = None
        with _raise_missing_bucket():
            for _ in range(READ_ATTEMPTS):
                answer = obstore.get(self._store, name)
                data = bytes(answer.bytes())
                if self._matches_etag(data, answer.meta["e_tag"]) or data == before:
                    return data
                before = data
        raise OSError("it arrives damaged")

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop, as `get` does."""
        before = None
        with _raise_missing_bucket():
            for _ in range(READ_ATTEMPTS):
                answer = await obstore.get_async(self._store, name)
                data = bytes(await answer.bytes_async())
                if self._matches_etag(data, answer.meta["e_tag"]) or data == before:
                    return data
                before = data
        raise OSError("it arrives damaged")

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        with _raise_missing_bucket():
            yield from obstore.get(self._store, name).stream(PART_SIZE_BYTES)

    def _matches_etag(self, data: bytes, etag: str | None) -> bool:
        """Tell whether bytes are those that a tag was made of; not every store makes one of them alone."""
        return not isinstance(self._store, S3Store) or (etag or "").strip('"') == _compute_etag(data)

    def delete(self, name: str) -> None:
        """Remove an object."""
        with _raise_missing_bucket():
            obstore.delete(self._store, name)

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""
        for chunk in obstore.list(self._store, prefix):
            for meta in chunk:
                yield meta["path"], meta["last_modified"], meta["size"]

    def presign_url(self, name: str, seconds: float) -> str | None:
        """Return an address that anyone may read an object from; None for folders and memory."""
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        return obstore.sign(self._store, "GET", name, timedelta(seconds=min(seconds, MAX_PRESIGNED_URL_SECONDS)))


class LocalBackend(ObstoreBackend):
    """A folder of this machine. What a link in it leads to outside does not belong to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(LocalStore(path, mkdir=True, automatic_cleanup=True))
        self._root = path.resolve()

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object, whole or not at all."""
        if not self._is_inside(name):
            raise ArtDreamError(f"{name} leads out of the store {self._root}: remove the link there.")
        super().put(name, data, content_type)

    def get(self, name: str) -> bytes:
        """Read an object."""
        return super().get(self._require_inside(name))

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop."""
        return await super().get_async(self._require_inside(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        yield from super().stream(self._require_inside(name))

    def delete(self, name: str) -> None:
        """Remove an object, and the folders that this leaves empty."""
        super().delete(self._require_inside(name))

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""
        yield from (entry for entry in super().list_objects(prefix) if self._is_inside(entry[0]))

    def _require_inside(self, name: str) -> str:
        if not self._is_inside(name):
            raise FileNotFoundError(name)
        return name

    def _is_inside(self, name: str) -> bool:
        return (self._root / name).resolve().is_relative_to(self._root)


def open_backend(url: str) -> StoreBackend:
    """Open a place; nothing is asked of it yet. Raises FAULTS or ValueError where the URL is not one."""
    if url.startswith("ssh+sftp:"):
        from shared.ssh.sftp_store import SftpBackend

        return SftpBackend(url)
    if url.startswith("memory:"):
        return ObstoreBackend(_get_memory_store(url))
    if url.startswith("file:"):
        return LocalBackend(Path(unquote(urlsplit(url).path)))
    if (kind := _VARIABLE_PREFIXES.get(urlsplit(url).scheme)) is None:
        return ObstoreBackend(from_url(url, retry_config=_RETRY_CONFIG))
    # Options that are given put those of the environment out of force.
    options = {name: os.environ[key] for name in _CLIENT_OPTIONS if (key := f"{kind}_{name.upper()}") in os.environ}
    # The server refuses what was damaged on its way; one that knows no checksums ignores it.
    summed = kind == "AWS" and "AWS_CHECKSUM_ALGORITHM" not in os.environ
    config: Any = {"checksum_algorithm": "SHA256"} if summed else {}
    return ObstoreBackend(
        from_url(url, config=config, client_options=_CLIENT_TIMEOUTS | options, retry_config=_RETRY_CONFIG)
    )


@functools.cache
def _get_memory_store(_url: str) -> MemoryStore:
    """Return the memory of this process that goes by a URL: the same for all who open it."""
    return MemoryStore()


@contextmanager
def _raise_missing_bucket() -> Iterator[None]:
    """Tell a bucket that does not exist from an object that does not."""
    try:
        yield
    except FileNotFoundError as error:
        if _MISSING_BUCKET_PATTERN.search(str(error)):
            raise OSError(str(error)) from error
        raise


def _compute_etag(data: bytes) -> str:
    """Return the tag that S3 gives to bytes which it keeps as they are."""
    parts = [
        hashlib.md5(data[start : start + PART_SIZE_BYTES], usedforsecurity=False)
        for start in range(0, len(data), PART_SIZE_BYTES)
    ]
    if len(parts) > 1:
        whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(parts)}"
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
