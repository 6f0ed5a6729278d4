"""The SFTP store backend: a folder on another machine, over SSH."""

import asyncio
import hashlib
import os
import posixpath
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

import paramiko
from paramiko.ssh_exception import SSHException

from shared.ssh.connection import Account, log_in
from shared.ssh.sftp_upload import TRANSFER_CHUNK_BYTES, upload

#: Folder of incomplete uploads. The leading dot keeps it apart from objects.
PARTIAL_UPLOADS_FOLDER = ".parts"

#: Seconds after which an incomplete upload that nobody resumed is deleted.
STALE_UPLOAD_SECONDS = 24 * 3600

#: SFTP sessions at a time over the one connection; OpenSSH allows ten.
MAX_SESSIONS = 4

#: Seconds without a reply after which the connection is considered dead.
CHANNEL_TIMEOUT_SECONDS = 20.0

T = TypeVar("T")


class SftpBackend:
    """A folder on an SSH host. Connects on first use, and reconnects after the connection was lost.

    url: `ssh+sftp://user@host[:port]/folder`, with `?key=` and `?known_hosts=` if these are not the defaults. Every
    method raises OSError if the host is unavailable, ArtDreamError if it refuses the login.
    """

    def __init__(self, url: str, *, timeout: float = CHANNEL_TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        options = {name: Path(values[0]) for name, values in parse_qs(parts.query).items()}
        known_hosts = options.get("known_hosts", Path("~/.ssh/known_hosts"))
        self._account = Account.parse(parts.netloc, options.get("key"), known_hosts)
        self._root = "/" + unquote(parts.path).strip("/")
        self._timeout = timeout
        self._session_slots = threading.BoundedSemaphore(MAX_SESSIONS)
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._idle_sessions: list[paramiko.SFTPClient] = []
        self._owner_pid = os.getpid()

    def put(self, name: str, data: bytes, _content_type: str) -> None:
        """Write an object atomically. Resumes an earlier, interrupted upload of the same bytes."""
        path = self._path(name)
        key = self._path(f"{PARTIAL_UPLOADS_FOLDER}/{hashlib.sha256(name.encode() + bytes(1) + data).hexdigest()}")
        self._run_with_reconnect(lambda sftp: upload(sftp, data, key, path))

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self._run_with_reconnect(lambda sftp: b"".join(_read_chunks(sftp, self._path(name))))

    async def get_async(self, name: str) -> bytes:
        """Read an object in a thread."""
        return await asyncio.to_thread(self.get, name)

    def get_size(self, name: str) -> int:
        """Return the size of an object in bytes."""
        path = self._path(name)
        return self._run_with_reconnect(lambda sftp: sftp.stat(path).st_size or 0)

    async def get_size_async(self, name: str) -> int:
        """Return the size of an object in bytes, asked for in a thread."""
        return await asyncio.to_thread(self.get_size, name)

    async def get_range_async(self, name: str, begin: int, end: int) -> bytes:
        """Read bytes of an object in a thread."""
        path = self._path(name)

        def read(sftp: paramiko.SFTPClient) -> bytes:
            with sftp.open(path) as file:
                return b"".join(file.readv([(begin, end - begin)]))

        return await asyncio.to_thread(self._run_with_reconnect, read)

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield an object in chunks of at most TRANSFER_CHUNK_BYTES."""
        with self._borrow_session() as sftp:
            yield from _read_chunks(sftp, self._path(name))

    def delete(self, name: str) -> None:
        """Delete an object, and the folders that this leaves empty."""
        path = self._path(name)

        def remove(sftp: paramiko.SFTPClient) -> None:
            sftp.remove(path)
            folder = posixpath.dirname(path)
            with suppress(OSError):
                while folder != self._root:
                    sftp.rmdir(folder)
                    folder = posixpath.dirname(folder)

        self._run_with_reconnect(remove)

    def list_objects(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """Yield name, modification time (UTC) and size in bytes of every object under a folder."""
        folders = [prefix.strip("/")]
        while folders:
            folder = folders.pop()
            path = self._path(folder) if folder else self._root
            try:
                entries = self._run_with_reconnect(lambda sftp, path=path: sftp.listdir_attr(path))  # type: ignore[misc]
            except FileNotFoundError:
                continue
            for entry in entries:
                name = posixpath.join(folder, entry.filename)
                if stat.S_ISDIR(entry.st_mode or 0):
                    if name != PARTIAL_UPLOADS_FOLDER:
                        folders.append(name)
                else:
                    yield name, datetime.fromtimestamp(entry.st_mtime or 0, UTC), entry.st_size or 0

    def delete_incomplete(self) -> None:
        """Do nothing: each new connection deletes stale uploads."""

    def presign_url(self, _name: str, _seconds: float) -> None:
        """Return None: SFTP has no presigned URLs."""

    def _path(self, name: str) -> str:
        if set(name.split("/")) & {"", ".", ".."}:
            raise OSError(f"{name} is no object's name")
        return posixpath.join(self._root, name)

    def _run_with_reconnect(self, operation: Callable[[paramiko.SFTPClient], T]) -> T:
        """Run an operation; retry once if the connection is lost, because an idle one may have died unnoticed."""
        try:
            with self._borrow_session() as sftp:
                return operation(sftp)
        except ConnectionError:
            with self._borrow_session() as sftp:
                return operation(sftp)

    @contextmanager
    def _borrow_session(self) -> Iterator[paramiko.SFTPClient]:
        """Yield an SFTP session. Errors that the host returns pass through; a lost connection is a ConnectionError."""
        with self._session_slots:
            sftp = self._open_session()
            is_usable = False
            try:
                yield sftp
                is_usable = True
            except (SSHException, EOFError, OSError) as error:
                # Errors that the host returns are OSErrors too, and the session stays usable after them.
                is_usable = isinstance(error, OSError) and not isinstance(error, TimeoutError) and _is_open(sftp)
                if is_usable:
                    raise
                self._drop_connection(sftp)
                raise ConnectionError(f"the connection to {self._account} was lost") from error
            finally:
                if is_usable:
                    with self._lock:
                        self._idle_sessions.append(sftp)
                else:
                    sftp.close()

    def _open_session(self) -> paramiko.SFTPClient:
        with self._lock:
            if self._owner_pid != os.getpid():  # a forked child must not use its parent's connection
                self._owner_pid, self._client, self._idle_sessions = os.getpid(), None, []
            while self._idle_sessions:
                if _is_open(sftp := self._idle_sessions.pop()):
                    return sftp
            transport = self._client and self._client.get_transport()
            is_new_connection = not (transport and transport.is_active())
            if is_new_connection:
                self._client = log_in(self._account)
            assert self._client  # noqa: S101
            try:
                sftp = self._client.open_sftp()
            except (SSHException, EOFError) as error:
                self._client.close()
                raise ConnectionError(f"the SSH host {self._account} gives no SFTP ({error})") from error
            if channel := sftp.get_channel():
                channel.settimeout(self._timeout)
        if is_new_connection:
            self._delete_stale_uploads(sftp)
        return sftp

    def _drop_connection(self, sftp: paramiko.SFTPClient) -> None:
        """Close the connection of a session, unless it was replaced meanwhile."""
        channel = sftp.get_channel()
        with self._lock:
            if self._client and channel and channel.get_transport() is self._client.get_transport():
                self._client.close()
                self._client = None

    def _delete_stale_uploads(self, sftp: paramiko.SFTPClient) -> None:
        with suppress(OSError, EOFError, SSHException):
            for entry in sftp.listdir_attr(self._path(PARTIAL_UPLOADS_FOLDER)):
                if (entry.st_mtime or 0) < time.time() - STALE_UPLOAD_SECONDS:
                    sftp.remove(self._path(f"{PARTIAL_UPLOADS_FOLDER}/{entry.filename}"))


def _read_chunks(sftp: paramiko.SFTPClient, path: str) -> Iterator[bytes]:
    with sftp.open(path) as file:
        size = file.stat().st_size or 0
        file.prefetch(size)
        while size > 0:
            chunk = file.read(min(TRANSFER_CHUNK_BYTES, size))
            if not chunk:
                raise EOFError
            size -= len(chunk)
            yield chunk


def _is_open(sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel is not None and not channel.closed and channel.get_transport().is_active()
