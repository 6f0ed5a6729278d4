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
FAULTS = (BaseError, OSError)

#: Bytes of one part of an upload, and of one piece of a download.
PIECE = 5 * 1024**2

#: How often an object is read whose bytes do not fit its tag: the same twice is what the store has.
TRIES = 3

#: Seconds for which a link may hold: what S3 allows at most.
LONGEST_LINK = 7 * 24 * 3600

#: A server that restarts is waited for; one that is gone is told after some seconds, ten at most.
_RETRIES: Any = {
    "max_retries": 12,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=2), "base": 2},
}

#: A connection that says nothing for half a minute is dead; a slow one that keeps moving is not.
_PATIENCE: Any = {"connect_timeout": "5s", "read_timeout": "30s", "timeout": "10min"}

#: How the variables begin that a kind of bucket is set up by, and the options among them that are the connection's.
_KINDS = {"s3": "AWS", "s3a": "AWS", "gs": "GOOGLE", "az": "AZURE", "abfs": "AZURE", "abfss": "AZURE"}
_OPTIONS = ("allow_http", "allow_invalid_certificates", "proxy_url", "root_certificate")

#: What an answer says where not only the object is missing but all that should be around it.
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|specified bucket does not exist")


class Place(Protocol):
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

    def entries(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""

    def link(self, name: str, seconds: float) -> str | None:
        """Return an address that anyone may read an object from for a while; None where there are none."""


class Bucket:
    """Everything that obstore opens."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object, whole or not at all; where the server tells what arrived, that is checked."""
        # Folders cannot keep a content type.
        attributes = None if isinstance(self._objects, LocalStore) else {"Content-Type": content_type}
        written = obstore.put(self._objects, name, data, attributes=attributes, chunk_size=PIECE)
        # Not every S3 server looks at the checksum it is sent; and the tag of one that encrypts tells nothing.
        if not self._is_whole(data, written["e_tag"]) and self.get(name) != data:
            raise OSError("it arrived damaged")

    def get(self, name: str) -> bytes:
        """Read an object; where the server tells what was put there, that is what is returned."""
        before = None
        with _in_a_bucket():
            for _ in range(TRIES):
                answer = obstore.get(self._objects, name)
                data = bytes(answer.bytes())
                if self._is_whole(data, answer.meta["e_tag"]) or data == before:
                    return data
                before = data
        raise OSError("it arrives damaged")

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop, as `get` does."""
        before = None
        with _in_a_bucket():
            for _ in range(TRIES):
                answer = await obstore.get_async(self._objects, name)
                data = bytes(await answer.bytes_async())
                if self._is_whole(data, answer.meta["e_tag"]) or data == before:
                    return data
                before = data
        raise OSError("it arrives damaged")

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        with _in_a_bucket():
            yield from obstore.get(self._objects, name).stream(PIECE)

    def _is_whole(self, data: bytes, tag: str | None) -> bool:
        """Tell whether bytes are those that a tag was made of; not every store makes one of them alone."""
        return not isinstance(self._objects, S3Store) or (tag or "").strip('"') == _tag(data)

    def delete(self, name: str) -> None:
        """Remove an object."""
        with _in_a_bucket():
            obstore.delete(self._objects, name)

    def entries(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""
        for chunk in obstore.list(self._objects, prefix):
            for meta in chunk:
                yield meta["path"], meta["last_modified"], meta["size"]

    def link(self, name: str, seconds: float) -> str | None:
        """Return an address that anyone may read an object from; None for folders and memory."""
        if not isinstance(self._objects, S3Store | GCSStore | AzureStore):
            return None
        return obstore.sign(self._objects, "GET", name, timedelta(seconds=min(seconds, LONGEST_LINK)))


class Folder(Bucket):
    """A folder of this machine. What a link in it leads to outside does not belong to it."""

    def __init__(self, path: Path) -> None:
        super().__init__(LocalStore(path, mkdir=True, automatic_cleanup=True))
        self._root = path.resolve()

    def put(self, name: str, data: bytes, content_type: str) -> None:
        """Write an object, whole or not at all."""
        if not self._holds(name):
            raise ArtDreamError(f"{name} leads out of the store {self._root}: remove the link there.")
        super().put(name, data, content_type)

    def get(self, name: str) -> bytes:
        """Read an object."""
        return super().get(self._own(name))

    async def get_async(self, name: str) -> bytes:
        """Read an object without blocking the event loop."""
        return await super().get_async(self._own(name))

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        yield from super().stream(self._own(name))

    def delete(self, name: str) -> None:
        """Remove an object, and the folders that this leaves empty."""
        super().delete(self._own(name))

    def entries(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""
        yield from (entry for entry in super().entries(prefix) if self._holds(entry[0]))

    def _own(self, name: str) -> str:
        if not self._holds(name):
            raise FileNotFoundError(name)
        return name

    def _holds(self, name: str) -> bool:
        return (self._root / name).resolve().is_relative_to(self._root)


def open_place(url: str) -> Place:
    """Open a place; nothing is asked of it yet. Raises FAULTS or ValueError where the URL is not one."""
    if url.startswith("ssh+sftp:"):
        from shared.ssh.sftp_store import SftpFolder

        return SftpFolder(url)
    if url.startswith("memory:"):
        return Bucket(_memory(url))
    if url.startswith("file:"):
        return Folder(Path(unquote(urlsplit(url).path)))
    if (kind := _KINDS.get(urlsplit(url).scheme)) is None:
        return Bucket(from_url(url, retry_config=_RETRIES))
    # Options that are given put those of the environment out of force.
    options = {name: os.environ[key] for name in _OPTIONS if (key := f"{kind}_{name.upper()}") in os.environ}
    # The server refuses what was damaged on its way; one that knows no checksums ignores it.
    summed = kind == "AWS" and "AWS_CHECKSUM_ALGORITHM" not in os.environ
    config: Any = {"checksum_algorithm": "SHA256"} if summed else {}
    return Bucket(from_url(url, config=config, client_options=_PATIENCE | options, retry_config=_RETRIES))


@functools.cache
def _memory(_url: str) -> MemoryStore:
    """Return the memory of this process that goes by a URL: the same for all who open it."""
    return MemoryStore()


@contextmanager
def _in_a_bucket() -> Iterator[None]:
    """Tell a bucket that does not exist from an object that does not."""
    try:
        yield
    except FileNotFoundError as error:
        if _NO_BUCKET.search(str(error)):
            raise OSError(str(error)) from error
        raise


def _tag(data: bytes) -> str:
    """Return the tag that S3 gives to bytes which it keeps as they are."""
    parts = [hashlib.md5(data[start : start + PIECE], usedforsecurity=False) for start in range(0, len(data), PIECE)]
    if len(parts) > 1:
        whole = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
        return f"{whole.hexdigest()}-{len(parts)}"
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
