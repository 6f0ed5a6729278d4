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
from shared.ssh.sftp_upload import CHUNK, upload

#: Where uploads grow until they are whole. Its name begins with a dot, so no object's does.
PARTS = ".parts"

#: Seconds after which what an upload left behind is swept away, when nobody took it up again.
STALE = 24 * 3600

#: Conversations at a time over the one connection; OpenSSH allows ten.
CONVERSATIONS = 4

#: Seconds without an answer after which the connection counts as dead.
SILENCE = 20.0

T = TypeVar("T")


class SftpFolder:
    """A folder on an SSH host. It connects at the first call, and anew whenever the connection was lost.

    `ssh+sftp://user@host[:port]/folder`, with `?key=` and `?known_hosts=` where these are not the usual ones. Raises
    OSError while the host is away, ArtDreamError where it refuses.
    """

    def __init__(self, url: str, *, silence: float = SILENCE) -> None:
        parts = urlsplit(url)
        chosen = {name: Path(values[0]) for name, values in parse_qs(parts.query).items()}
        known_hosts = chosen.get("known_hosts", Path("~/.ssh/known_hosts"))
        self._account = Account.parse(parts.netloc, chosen.get("key"), known_hosts)
        self._root = "/" + unquote(parts.path).strip("/")
        self._silence = silence
        self._turns = threading.BoundedSemaphore(CONVERSATIONS)
        self._lock = threading.Lock()
        self._client: paramiko.SSHClient | None = None
        self._idle: list[paramiko.SFTPClient] = []
        self._process = os.getpid()

    def put(self, name: str, data: bytes, _content_type: str) -> None:
        """Write an object, whole or not at all. What an earlier try already brought there is not sent again."""
        path = self._path(name)
        key = self._path(f"{PARTS}/{hashlib.sha256(name.encode() + bytes(1) + data).hexdigest()}")
        self._again(lambda sftp: upload(sftp, data, key, path))

    def get(self, name: str) -> bytes:
        """Read an object."""
        return self._again(lambda sftp: b"".join(_pieces(sftp, self._path(name))))

    async def get_async(self, name: str) -> bytes:
        """Read an object in a thread."""
        return await asyncio.to_thread(self.get, name)

    def stream(self, name: str) -> Iterator[bytes]:
        """Read an object piece by piece."""
        with self._conversation() as sftp:
            yield from _pieces(sftp, self._path(name))

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

        self._again(remove)

    def entries(self, prefix: str) -> Iterator[tuple[str, datetime, int]]:
        """List names, times of change and bytes under a folder."""
        folders = [prefix.strip("/")]
        while folders:
            folder = folders.pop()
            path = self._path(folder) if folder else self._root
            try:
                found = self._again(lambda sftp, path=path: sftp.listdir_attr(path))  # type: ignore[misc]
            except FileNotFoundError:
                continue
            for one in found:
                name = posixpath.join(folder, one.filename)
                if stat.S_ISDIR(one.st_mode or 0):
                    if name != PARTS:
                        folders.append(name)
                else:
                    yield name, datetime.fromtimestamp(one.st_mtime or 0, UTC), one.st_size or 0

    def link(self, _name: str, _seconds: float) -> None:
        """Return None: a folder has no links."""

    def _path(self, name: str) -> str:
        if set(name.split("/")) & {"", ".", ".."}:
            raise OSError(f"{name} is no object's name")
        return posixpath.join(self._root, name)

    def _again(self, work: Callable[[paramiko.SFTPClient], T]) -> T:
        """Do something; once more where the connection turns out to be dead, as one that lay idle may be."""
        try:
            with self._conversation() as sftp:
                return work(sftp)
        except ConnectionError:
            with self._conversation() as sftp:
                return work(sftp)

    @contextmanager
    def _conversation(self) -> Iterator[paramiko.SFTPClient]:
        """Lend a conversation. What the host answers passes through; a lost connection is a ConnectionError."""
        with self._turns:
            sftp = self._open()
            well = False
            try:
                yield sftp
                well = True
            except (SSHException, EOFError, OSError) as error:
                # The host's own answers come as OSErrors too, and after those one can go on.
                well = isinstance(error, OSError) and not isinstance(error, TimeoutError) and _stands(sftp)
                if well:
                    raise
                self._drop(sftp)
                raise ConnectionError(f"the connection to {self._account} was lost") from error
            finally:
                if well:
                    with self._lock:
                        self._idle.append(sftp)
                else:
                    sftp.close()

    def _open(self) -> paramiko.SFTPClient:
        with self._lock:
            if self._process != os.getpid():  # a forked child must leave its parent's connection alone
                self._process, self._client, self._idle = os.getpid(), None, []
            while self._idle:
                if _stands(sftp := self._idle.pop()):
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
                channel.settimeout(self._silence)
        if fresh:
            self._sweep(sftp)
        return sftp

    def _drop(self, sftp: paramiko.SFTPClient) -> None:
        """Give a connection up, unless it was replaced meanwhile."""
        channel = sftp.get_channel()
        with self._lock:
            if self._client and channel and channel.get_transport() is self._client.get_transport():
                self._client.close()
                self._client = None

    def _sweep(self, sftp: paramiko.SFTPClient) -> None:
        with suppress(OSError, EOFError, SSHException):
            for one in sftp.listdir_attr(self._path(PARTS)):
                if (one.st_mtime or 0) < time.time() - STALE:
                    sftp.remove(self._path(f"{PARTS}/{one.filename}"))


def _pieces(sftp: paramiko.SFTPClient, path: str) -> Iterator[bytes]:
    with sftp.open(path) as file:
        size = file.stat().st_size or 0
        file.prefetch(size)
        while size > 0:
            piece = file.read(min(CHUNK, size))
            if not piece:
                raise EOFError
            size -= len(piece)
            yield piece


def _stands(sftp: paramiko.SFTPClient) -> bool:
    channel = sftp.get_channel()
    return channel is not None and not channel.closed and channel.get_transport().is_active()
