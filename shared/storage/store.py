"""Object storage: one interface to photos, dreams, frames and sidecars, by name, in any backend."""

import contextlib
import itertools
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

from shared.errors import ArtDreamError
from shared.storage.backends import BACKEND_ERRORS, IDLE_SECONDS, StoreBackend, is_permanent, open_backend
from shared.storage.object_names import is_object_name

T = TypeVar("T")

_CONTENT_TYPES = {
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webp": "image/webp",
}


class StoreError(ArtDreamError):
    """The store is unavailable or refuses a call."""

    def __init__(self, sentence: str, *, is_permanent: bool = False) -> None:
        super().__init__(sentence)
        #: Whether the store refuses the call, so that a retry cannot help until somebody changes its configuration.
        self.is_permanent = is_permanent


@dataclass(frozen=True)
class StoredObject:
    """One object in a listing."""

    name: str
    modified: datetime
    #: Size in bytes.
    size: int


class Store:
    """Objects by name, at a URL: a folder (file), a bucket (s3, gs, az), a folder over SSH (ssh+sftp), or memory.

    Every method raises ArtDreamError if a name is not a valid object name.
    """

    def __init__(self, url: str, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """Open a store without contacting it. Raises ArtDreamError if its URL is not valid.

        idle_seconds: after which an idle connection to a bucket is closed.
        """
        #: The store's URL, without secrets.
        self.url = _redact_url(url)
        self._backend = _open_backend(url, self.url, idle_seconds)

    def put(self, name: str, data: bytes) -> None:
        """Write an object atomically; its content type follows from the name. Raises StoreError."""
        content_type = _CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        with self._translate_errors(name, "could not be written to"):
            self._backend.put(name, data, content_type)

    def get(self, name: str) -> bytes | None:
        """Read an object; None if there is none. Raises StoreError."""
        with self._translate_errors(name, "could not be read from"):
            try:
                return self._backend.get(name)
            except FileNotFoundError:
                return None

    def exists(self, name: str) -> bool:
        """Return whether there is an object. Raises StoreError."""
        with self._translate_errors(name, "could not be read from"):
            try:
                self._backend.get_size(name)
            except FileNotFoundError:
                return False
        return True

    async def get_async(self, name: str) -> bytes | None:
        """Read an object without blocking the event loop; None if there is none. Raises StoreError."""
        return await self._read(name, lambda: self._backend.get_async(name))

    async def get_size_async(self, name: str) -> int | None:
        """Return the size of an object in bytes; None if there is none. Raises StoreError."""
        return await self._read(name, lambda: self._backend.get_size_async(name))

    async def get_range_async(self, name: str, begin: int, end: int) -> bytes | None:
        """Read the bytes from `begin` to before `end`, which lie within an object; None if there is no such object.

        They are not verified. Raises StoreError.
        """
        return await self._read(name, lambda: self._backend.get_range_async(name, begin, end))

    async def _read(self, name: str, read: Callable[[], Awaitable[T]]) -> T | None:
        """Return what is read of an object; None if there is none. Raises StoreError."""
        with self._translate_errors(name, "could not be read from"):
            try:
                return await read()
            except FileNotFoundError:
                return None

    def fetch(self, name: str, path: Path) -> bool:
        """Stream an object into a file, which is replaced atomically; False if there is no such object.

        Raises StoreError, and ArtDreamError if the file cannot be written.
        """
        chunks = self._stream_object(name)
        try:
            first_chunk = next(chunks, b"")
        except FileNotFoundError:
            return False
        partial_file = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            with partial_file.open("wb") as file:
                for chunk in itertools.chain([first_chunk], chunks):
                    file.write(chunk)
            partial_file.replace(path)
        except OSError as error:
            raise ArtDreamError(f"{path} could not be written: {error.strerror or error}.") from error
        finally:
            with contextlib.suppress(OSError):  # The error before it says more.
                partial_file.unlink(missing_ok=True)
        return True

    def delete(self, name: str) -> None:
        """Delete an object; does nothing if there is none. Raises StoreError."""
        with self._translate_errors(name, "could not be removed from"), contextlib.suppress(FileNotFoundError):
            self._backend.delete(name)

    def list_objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects whose names begin with a folder prefix, in no particular order. Raises StoreError."""
        with self._translate_errors(prefix or "everything", "could not be listed in"):
            for name, modified, size in self._backend.list_objects(prefix):
                yield StoredObject(name, modified, size)

    def delete_incomplete(self) -> None:
        """Delete what killed processes left of objects that they were writing, some time ago. Raises StoreError."""
        with self._translate_errors("incomplete objects", "could not be removed from"):
            self._backend.delete_incomplete()

    def presign_url(self, name: str, seconds: float) -> str | None:
        """Return a URL from which anyone can read an object for some seconds, at most 7 days.

        None if the store is not a bucket. Does not check whether the object exists. Raises StoreError.
        """
        with self._translate_errors(name, "got no link from"):
            return self._backend.presign_url(name, seconds)

    def _stream_object(self, name: str) -> Iterator[bytes]:
        with self._translate_errors(name, "could not be read from", raise_missing=True):
            yield from self._backend.stream(name)

    @contextlib.contextmanager
    def _translate_errors(self, name: str, failure: str, *, raise_missing: bool = False) -> Iterator[None]:
        if not is_object_name(name.removesuffix("/")):
            raise ArtDreamError(f"{name[:80]!r} is no object's name.")
        try:
            yield
        except BACKEND_ERRORS as error:
            if raise_missing and isinstance(error, FileNotFoundError):
                raise
            sentence = f"{name} {failure} the store {self.url}: {_summarize_error(error)}."
            raise StoreError(sentence, is_permanent=is_permanent(error)) from error


def _open_backend(url: str, redacted_url: str, idle_seconds: float) -> StoreBackend:
    parts = urlsplit(url)
    if parts.password or (parts.username and parts.scheme != "ssh+sftp"):
        raise ArtDreamError(
            f"The store's URL {redacted_url} came with a secret, and URLs get shown: take it out, and set "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or what else the store asks for in the environment."
        )
    try:
        return open_backend(url, idle_seconds)
    except (*BACKEND_ERRORS, ValueError) as error:
        if parts.scheme == "file":
            raise StoreError(f"The store's folder {parts.path} cannot be used: {_summarize_error(error)}.") from error
        raise ArtDreamError(
            f"The store's URL {redacted_url} is not one that can be opened: {_summarize_error(error)}."
        ) from error


def _redact_url(url: str) -> str:
    """Return a URL without secrets and query."""
    parts = urlsplit(url)
    netloc = parts.netloc if parts.scheme == "ssh+sftp" and not parts.password else parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, parts.path, "", "")) if parts.netloc else url.partition("?")[0]


def _summarize_error(error: Exception) -> str:
    """Return the cause of an error in a few words; obstore's messages hold the whole response and its own internals."""
    text = str(error)
    message_match = re.search(r'<Message>(.*?)[\n<]|"message": *"(.*?)"', text)
    message = next(filter(None, message_match.groups()), "") if message_match else ""
    if status := re.search(r"status code: (\d+ [A-Za-z ]+)", text):
        return f"{status[1].strip()}{f' ({message.rstrip(chr(46))})' if message else ''}"
    if os_error := re.search(r'message: "([^"\\]+)"', text):
        return os_error[1]
    # A signed URL is as good as a password.
    first_line = re.sub(r"(://[^\s?]+)\?\S+", r"\1", text.partition("\n")[0])
    return first_line.rstrip(".") or type(error).__name__
