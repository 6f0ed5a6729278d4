"""A store in a folder of another machine, over SSH."""

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

#: Where uploads grow until they are whole. Its name begins with a dot, so no object's does.
PARTIAL_UPLOADS_FOLDER = ".parts"

#: Seconds after which what an upload left behind is swept away, when nobody took it up again.
STALE_UPLOAD_SECONDS = 24 * 3600

#: Conversations at a time over the one connection; OpenSSH allows ten.
MAX_SESSIONS = 4

#: Seconds without an answer after which the connection counts as dead.
CHANNEL_TIMEOUT_SECONDS = 20.0

T = TypeVar("T")


class SftpBackend:
    """A folder on an SSH host. It connects at the first call, and anew whenever the connection was lost.

    `ssh+sftp://user@host[:port]/folder`, with `?key=` and `?known_hosts=` where these are not the usual ones. Raises
    OSError while the host is away, ArtDreamError where it refuses.
    """

    def __init__(self, url: str, *, timeout: float = CHANNEL_TIMEOUT_SECONDS) -> None:
        parts = urlsplit(url)
        chosen = {name: Path(values[0]) for name, values in parse_qs(parts.query).items()}
        known_hosts = chosen.get("known_hosts", Path("~/.ssh/known_hosts"))
        self._account = Account.parse(parts.netloc, chosen.get("key"), known_hosts)
        self._root = "/" + unquote(parts.path).strip("/")
        self._timeout = timeout
        self._session_slots = threading.BoundedSemaphore(MAX_SESSIONS)
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._idle_sessions: list[paramiko.SFTPClient] = []
        self._owner_pid = os.getpid()

    def put(self, name: str, data: bytes, _content_type: str) -> None:
        """Write an object, whole or not at all. What an earlier try already brought there is not sent again."""
        path = self._path(name)
        key = self._path(f"{PARTIAL_UPLOADS_FOLDER}/{hashlib.sha256(name.encode() + bytes(1) + data).hexdigest()}")
        self._run_with_reconnect(lambda sftp: upload(sftp, data, key, path))

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self._run_with_reconnect(lambda sftp: b"".join(_read_chunks(sftp, self._path(name))))

    async def get_async(self, name: str) -> bytes:
        """Read an object in a thread."""
        return await asyncio.to_thread(self.get, name)

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        with self._borrow_session() as sftp:
            yield from _read_chunks(sftp, self._path(name))

    def delete(self, name: str) -> None:
        """Remove an object, and the folders that this leaves empty."""
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
        """List names, times of change and bytes under a folder."""
        folders = [prefix.strip("/")]
        while folders:
            folder = folders.pop()
            path = self._path(folder) if folder else self._root
            try:
                found = self._run_with_reconnect(lambda sftp, path=path: sftp.listdir_attr(path))  # type: ignore[misc]
            except FileNotFoundError:
                continue
            for one in found:
                name = posixpath.join(folder, one.filename)
                if stat.S_ISDIR(one.st_mode or 0):
                    if name != PARTIAL_UPLOADS_FOLDER:
                        folders.append(name)
                else:
                    yield name, datetime.fromtimestamp(one.st_mtime or 0, UTC), one.st_size or 0

    def presign_url(self, _name: str, _seconds: float) -> None:
        """Return None: a folder has no links."""

    def _path(self, name: str) -> str:
        if set(name.split("/")) & {"", ".", ".."}:
            raise OSError(f"{name} is no object's name")
        return posixpath.join(self._root, name)

    def _run_with_reconnect(self, operation: Callable[[paramiko.SFTPClient], T]) -> T:
        """Do something; once more where the connection turns out to be dead, as one that lay idle may be."""
        try:
            with self._borrow_session() as sftp:
                return operation(sftp)
        except ConnectionError:
            with self._borrow_session() as sftp:
                return operation(sftp)

    @contextmanager
    def _borrow_session(self) -> Iterator[paramiko.SFTPClient]:
        """Lend a conversation. What the host answers passes through; a lost connection is a ConnectionError."""
        with self._session_slots:
            sftp = self._open_session()
            well = False
            try:
                yield sftp
                well = True
            except (SSHException, EOFError, OSError) as error:
                # The host's own answers come as OSErrors too, and after those one can go on.
                well = isinstance(error, OSError) and not isinstance(error, TimeoutError) and _is_open(sftp)
                if well:
                    raise
                self._drop_connection(sftp)
                raise ConnectionError(f"the connection to {self._account} was lost") from error
            finally:
                if well:
                    with self._lock:
                        self._idle_sessions.append(sftp)
                else:
                    sftp.close()

    def _open_session(self) -> paramiko.SFTPClient:
        with self._lock:
            if self._owner_pid != os.getpid():  # a forked child must leave its parent's connection alone
                self._owner_pid, self._client, self._idle_sessions = os.getpid(), None, []
            while self._idle_sessions:
                if _is_open(sftp := self._idle_sessions.pop()):
                    return sftp
            transport = self._client and self._client.get_transport()
            fresh = not (transport and transport.is_active())
            if fresh:
                self._client = log_in(self._account)
            assert self._client  # noqa: S101
            try:
                sftp = self._client.open_sftp()
            except (SSHException, EOFError) as error:
                self._client.close()
                raise ConnectionError(f"the SSH host {self._account} gives no SFTP ({error})") from error
            if channel := sftp.get_channel():
                channel.settimeout(self._timeout)
        if fresh:
            self._delete_stale_uploads(sftp)
        return sftp

    def _drop_connection(self, sftp: paramiko.SFTPClient) -> None:
        """Give a connection up, unless it was replaced meanwhile."""
        channel = sftp.get_channel()
        with self._lock:
            if self._client and channel and channel.get_transport() is self._client.get_transport():
                self._client.close()
                self._client = None

    def _delete_stale_uploads(self, sftp: paramiko.SFTPClient) -> None:
        with suppress(OSError, EOFError, SSHException):
            for one in sftp.listdir_attr(self._path(PARTIAL_UPLOADS_FOLDER)):
                if (one.st_mtime or 0) < time.time() - STALE_UPLOAD_SECONDS:
                    sftp.remove(self._path(f"{PARTIAL_UPLOADS_FOLDER}/{one.filename}"))


def _read_chunks(sftp: paramiko.SFTPClient, path: str) -> Iterator[bytes]:
    with sftp.open(path) as file:
        size = file.stat().st_size or 0
        file.prefetch(size)
        while size > 0:
            piece = file.read(min(TRANSFER_CHUNK_BYTES, size))
            if not piece:
                raise EOFError
            size -= len(piece)
            yield piece


def _is_open(sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel is not None and not channel.closed and channel.get_transport().is_active()
