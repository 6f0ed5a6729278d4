"""Store backends: a folder, a bucket, or this process's memory, through obstore."""

import contextlib
import functools
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, GenericError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store, from_url

from shared.durability import flush_path
from shared.errors import ArtDreamError
from shared.private_folder import create_private_folder
from shared.storage.object_names import is_frame

#: Exceptions of a backend that is unavailable or refuses; FileNotFoundError if there is no such object.
BACKEND_ERRORS = (BaseError, OSError)

#: Bytes of one part of a multipart upload, and of one chunk of a download.
PART_SIZE_BYTES = 5 * 1024**2

#: How often an object is read if its bytes do not match its ETag. The same bytes twice are accepted as stored.
READ_ATTEMPTS = 3

#: Longest validity of a presigned URL in seconds: the limit of S3.
MAX_PRESIGNED_URL_SECONDS = 7 * 24 * 3600

#: Retries survive a server's restart, and fail after at most 10 s if it is down.
_RETRY_CONFIG: Any = {
    "max_retries": 12,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=2), "base": 2},
}

#: A connection is considered dead after 30 s without data; a slow transfer may take minutes.
_CLIENT_TIMEOUTS: Any = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "10min"}

#: Seconds without a change after which an incomplete file of a folder is deleted: no process writes it any more.
STALE_WRITE_SECONDS = 3600

#: Matches the names of incomplete files: LocalStore writes `NAME#1`, or the next free number, and renames it.
_INCOMPLETE_FILE_PATTERN = re.compile(r"#\d+$", re.ASCII)

#: Seconds after which an idle connection to a bucket is closed.
IDLE_SECONDS = 90.0

#: URL scheme → prefix of the environment variables that configure that kind of bucket; and those options that concern
#: the connection.
_VARIABLE_PREFIXES = {"s3": "AWS", "s3a": "AWS", "gs": "GOOGLE", "az": "AZURE", "abfs": "AZURE", "abfss": "AZURE"}
_CLIENT_OPTIONS = ("allow_http", "allow_invalid_certificates", "proxy_url", "root_certificate")

#: Matches the errors for a bucket or container that does not exist.
_MISSING_BUCKET_PATTERN = re.compile("NoSuchBucket|ContainerNotFound|specified bucket does not exist")

#: Matches the errors of a listing that is refused: obstore has no exceptions of their own for these.
_REFUSED_LISTING_PATTERN = re.compile("status code: 40[13]")


class StoreBackend(Protocol):
    """The storage behind a `Store`. Every call may be retried and made from any thread; it raises BACKEND_ERRORS."""

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object atomically."""

    def get(self, name: str) -> bytes:
        """Read an object. Raises FileNotFoundError."""

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop. Raises FileNotFoundError."""

    def get_size(self, name: str) -> int:
        """Return the size of an object in bytes. Raises FileNotFoundError."""

    async def get_size_async(self, name: str) -> int:
        """Return the size of an object in bytes, without blocking the event loop. Raises FileNotFoundError."""

    async def get_range_async(self, name: str, begin: int, end: int) -> bytes:
        """Read the bytes from `begin` to before `end`, without blocking the event loop. Raises FileNotFoundError."""

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield an object in chunks. Raises FileNotFoundError."""

    def delete(self, name: str) -> None:
        """Delete an object."""

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """Yield name, modification time and size in bytes of every object under a folder."""

    def delete_incomplete(self) -> None:
        """Delete what killed processes left of objects that they were writing, unless the backend does so by itself."""

    def presign_url(self, name: str, seconds: float) -> str | None:
        """Return a URL from which anyone can read an object for some seconds; None if the backend has no such URLs."""


class ObstoreBackend:
    """Any store that obstore can open."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object atomically, and verify the ETag on S3. Raises OSError if it arrived damaged."""
        # Folders cannot store a content type.
        attributes = None if isinstance(self._store, LocalStore) else {"Content-Type": content_type}
        result = obstore.put(self._store, name, data, attributes=attributes, chunk_size=PART_SIZE_BYTES)
        # Not every S3 server verifies the checksum of an upload. With encryption the ETag is no checksum, so read back.
        if not self._matches_etag(data, result["e_tag"]) and not self._has_stored(name, data):
            raise OSError("it arrived damaged")

    def _has_stored(self, name: str, data: bytes) -> bool:
        """Read back what was written; again if it differs, for it may be damaged on its way back."""
        return any(bytes(obstore.get(self._store, name).bytes()) == data for _ in range(READ_ATTEMPTS))

    def get(self, name: str) -> bytes:
        """Read an object, and verify the ETag on S3. Raises FileNotFoundError, and OSError if it arrives damaged."""
        previous_data = None
        with _raise_missing_bucket():
            for _ in range(READ_ATTEMPTS):
                response = obstore.get(self._store, name)
                data = bytes(response.bytes())
                if self._matches_etag(data, response.meta["e_tag"]) or data == previous_data:
                    return data
                previous_data = data
        raise OSError("it arrives damaged")

    async def get_async(self, name: str) -> bytes:
        """Read and verify an object as `get` does, without blocking the event loop."""
        previous_data = None
        with _raise_missing_bucket():
            for _ in range(READ_ATTEMPTS):
                response = await obstore.get_async(self._store, name)
                data = bytes(await response.bytes_async())
                if self._matches_etag(data, response.meta["e_tag"]) or data == previous_data:
                    return data
                previous_data = data
        raise OSError("it arrives damaged")

    def get_size(self, name: str) -> int:
        """Return the size of an object in bytes. Raises FileNotFoundError."""
        with _raise_missing_bucket():
            return obstore.head(self._store, name)["size"]

    async def get_size_async(self, name: str) -> int:
        """Return the size of an object in bytes, without blocking the event loop. Raises FileNotFoundError."""
        with _raise_missing_bucket():
            return (await obstore.head_async(self._store, name))["size"]

    async def get_range_async(self, name: str, begin: int, end: int) -> bytes:
        """Read bytes of an object without blocking the event loop, not verified. Raises FileNotFoundError."""
        with _raise_missing_bucket():
            try:
                return bytes(await obstore.get_range_async(self._store, name, start=begin, end=end))
            except GenericError as error:
                if "NotPartial" not in str(error):
                    raise
        return (await self.get_async(name))[begin:end]  # some S3 servers, such as rclone's, always send the whole

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield an object in chunks, not verified."""
        with _raise_missing_bucket():
            yield from obstore.get(self._store, name).stream(PART_SIZE_BYTES)

    def _matches_etag(self, data: bytes, etag: str | None) -> bool:
        """Return whether an ETag is that of these bytes; True on stores other than S3, whose ETags are no checksums."""
        return not isinstance(self._store, S3Store) or (etag or "").strip('"') == _compute_etag(data)

    def delete(self, name: str) -> None:
        """Delete an object."""
        with _raise_missing_bucket():
            obstore.delete(self._store, name)

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """Yield name, modification time and size in bytes of every object under a folder."""
        for chunk in obstore.list(self._store, prefix):
            for meta in chunk:
                yield meta["path"], meta["last_modified"], meta["size"]

    def delete_incomplete(self) -> None:
        """Do nothing: that is up to the lifecycle rules of a bucket."""

    def presign_url(self, name: str, seconds: float) -> str | None:
        """Return a URL from which anyone can read an object for some seconds, at most 7 days; None if not a bucket."""
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            return None
        return obstore.sign(self._store, "GET", name, timedelta(seconds=min(seconds, MAX_PRESIGNED_URL_SECONDS)))


class LocalBackend(ObstoreBackend):
    """A folder of this machine. Symbolic links that lead out of it are not followed."""

    def __init__(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # LocalStore reports it
            create_private_folder(path)
        super().__init__(LocalStore(path, mkdir=True, automatic_cleanup=True))
        self._root = path.resolve()

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object atomically, and flush it to disk unless it is a frame.

        Raises ArtDreamError if a link in its path leads out of the folder.
        """
        if not self._is_inside(name):
            raise ArtDreamError(f"{name} leads out of the store {self._root}: remove the link there.")
        super().put(name, data, content_type)
        if not is_frame(name):  # The next frame replaces it; everything else is believed to be safe once it is written.
            self._flush(self._root / name)

    def _flush(self, path: Path) -> None:
        """Have the disk write a file, and the names of it and of the folders that lead to it."""
        with contextlib.suppress(FileNotFoundError):  # Somebody has deleted it already.
            flush_path(path)
            while path != self._root:
                path = path.parent
                flush_path(path)

    def get(self, name: str) -> bytes:
        """Read an object. Raises FileNotFoundError."""
        return super().get(self._require_inside(name))

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop. Raises FileNotFoundError."""
        return await super().get_async(self._require_inside(name))

    def get_size(self, name: str) -> int:
        """Return the size of an object in bytes. Raises FileNotFoundError."""
        return super().get_size(self._require_inside(name))

    async def get_size_async(self, name: str) -> int:
        """Return the size of an object in bytes, without blocking the event loop. Raises FileNotFoundError."""
        return await super().get_size_async(self._require_inside(name))

    async def get_range_async(self, name: str, begin: int, end: int) -> bytes:
        """Read bytes of an object without blocking the event loop. Raises FileNotFoundError."""
        return await super().get_range_async(self._require_inside(name), begin, end)

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield an object in chunks. Raises FileNotFoundError."""
        yield from super().stream(self._require_inside(name))

    def delete(self, name: str) -> None:
        """Delete an object, what killed processes left of writing it, and the folders that this leaves empty.

        If another process is writing it, that write fails, and may be retried.
        """
        path, number = self._root / self._require_inside(name), 1
        while os.path.lexists(incomplete_file := path.with_name(f"{path.name}#{number}")):
            self._delete_file(incomplete_file)
            number += 1
        super().delete(name)

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """Yield name, modification time and size in bytes of every object under a folder."""
        yield from (entry for entry in super().list_objects(prefix) if self._is_inside(entry[0]))

    def delete_incomplete(self) -> None:
        """Delete incomplete files, which obstore does not list, if they have not changed for STALE_WRITE_SECONDS."""
        for folder, _, names in os.walk(self._root):
            for name in filter(_INCOMPLETE_FILE_PATTERN.search, names):
                path = Path(folder, name)
                with contextlib.suppress(FileNotFoundError):  # It is complete or deleted by now.
                    if path.lstat().st_mtime < time.time() - STALE_WRITE_SECONDS:
                        self._delete_file(path)

    def _delete_file(self, path: Path) -> None:
        """Delete a file, and the folders that this leaves empty."""
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            while (path := path.parent) != self._root:
                path.rmdir()

    def _require_inside(self, name: str) -> str:
        if not self._is_inside(name):
            raise FileNotFoundError(name)
        return name

    def _is_inside(self, name: str) -> bool:
        return (self._root / name).resolve().is_relative_to(self._root)


def open_backend(url: str, idle_seconds: float = IDLE_SECONDS) -> StoreBackend:
    """Open a backend without contacting it. Raises one of BACKEND_ERRORS or ValueError if the URL is invalid.

    idle_seconds: after which an idle connection to a bucket is closed.
    """
    if url.startswith("ssh+sftp:"):
        from shared.ssh.sftp_store import SftpBackend

        return SftpBackend(url)
    if url.startswith("memory:"):
        return ObstoreBackend(_get_memory_store(url))
    if url.startswith("file:"):
        return LocalBackend(Path(unquote(urlsplit(url).path)))
    if (kind := _VARIABLE_PREFIXES.get(urlsplit(url).scheme)) is None:
        return ObstoreBackend(from_url(url, retry_config=_RETRY_CONFIG))
    # Explicit client options disable those of the environment, so copy them.
    options = {name: os.environ[key] for name in _CLIENT_OPTIONS if (key := f"{kind}_{name.upper()}") in os.environ}
    # With a checksum the server rejects uploads damaged in transit; a server without checksums ignores it.
    use_sha256 = kind == "AWS" and "AWS_CHECKSUM_ALGORITHM" not in os.environ
    config: Any = {"checksum_algorithm": "SHA256"} if use_sha256 else {}
    client_options = _CLIENT_TIMEOUTS | {"pool_idle_timeout": timedelta(seconds=idle_seconds)} | options
    return ObstoreBackend(from_url(url, config=config, client_options=client_options, retry_config=_RETRY_CONFIG))


def is_permanent(error: Exception) -> bool:
    """Return whether a retry raises an error of BACKEND_ERRORS until a key, a permission or a bucket is mended."""
    text = str(error)
    return isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError) or bool(
        _MISSING_BUCKET_PATTERN.search(text) or _REFUSED_LISTING_PATTERN.search(text)
    )


@functools.cache
def _get_memory_store(_url: str) -> MemoryStore:
    """Return the in-memory store of a URL, the same for every caller in this process."""
    return MemoryStore()


@contextmanager
def _raise_missing_bucket() -> Iterator[None]:
    """Raise OSError instead of FileNotFoundError if the bucket is missing, not only the object."""
    try:
        yield
    except FileNotFoundError as error:
        if _MISSING_BUCKET_PATTERN.search(str(error)):
            raise OSError(str(error)) from error
        raise


def _compute_etag(data: bytes) -> str:
    """Return the ETag that S3 gives to unencrypted bytes, uploaded in parts of PART_SIZE_BYTES."""
    parts = [
        hashlib.md5(data[start : start + PART_SIZE_BYTES], usedforsecurity=False)
        for start in range(0, len(data), PART_SIZE_BYTES)
    ]
    if len(parts) > 1:
        combined = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
        return f"{combined.hexdigest()}-{len(parts)}"
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
