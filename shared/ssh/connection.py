"""SSH connections: log in with keys only, and only to hosts whose own key is known."""

import logging
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Self
from urllib.parse import urlsplit

import paramiko
from paramiko.ssh_exception import AuthenticationException, BadHostKeyException, SSHException

from shared.errors import ArtDreamError

#: Seconds that a host has for each step: to connect, to send its key, to authenticate, to open a channel.
SSH_TIMEOUT_SECONDS = 10.0

#: Seconds of silence after which a keepalive is sent, so that no router drops an idle connection.
TRANSPORT_KEEPALIVE_SECONDS = 15

# paramiko logs every error with a traceback before it raises it.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Account:
    """A user at an SSH host, with private key and known-hosts file. key None: the agent's keys and those in ~/.ssh."""

    user: str
    host: str
    port: int
    key: Path | None
    known_hosts: Path

    @classmethod
    def parse(cls, address: str, key: Path | None, known_hosts: Path) -> Self:
        """Parse `user@host` or `user@host:port`. Raises ArtDreamError if the address is invalid or has a password."""
        try:
            parts = urlsplit(f"//{address}")
            user, host, port, password = parts.username, parts.hostname, parts.port, parts.password
        except ValueError:
            user = host = port = password = None
        if password is not None:
            raise ArtDreamError("SSH is used without passwords: take it out of the address, and let your key in there.")
        if not user or not host or port == 0:
            raise ArtDreamError(f"“{address}” is no address of an SSH host: write user@host or user@host:port.")
        return cls(user, host, port or 22, key and key.expanduser(), known_hosts.expanduser())

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}" + ("" if self.port == 22 else f":{self.port}")


def log_in(account: Account) -> paramiko.SSHClient:
    """Connect to a host and authenticate.

    Raises ArtDreamError if a retry would not help, ConnectionError if it may.
    """
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_RejectUnknownHostPolicy(account))
    try:
        key = _load_key(account.key) if account.key else None
        _load_known_hosts(client, account.known_hosts)
        sock = socket.create_connection((account.host, account.port), SSH_TIMEOUT_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        client.connect(
            account.host,
            account.port,
            account.user,
            pkey=key,
            sock=sock,
            allow_agent=key is None,
            look_for_keys=key is None,
            timeout=SSH_TIMEOUT_SECONDS,
            banner_timeout=SSH_TIMEOUT_SECONDS,
            auth_timeout=SSH_TIMEOUT_SECONDS,
            channel_timeout=SSH_TIMEOUT_SECONDS,
        )
        transport = client.get_transport()
        if transport is None:
            raise ConnectionError("it hung up")
        transport.set_keepalive(TRANSPORT_KEEPALIVE_SECONDS)
    except BaseException as error:
        was_disconnected = isinstance(error, AuthenticationException) and not _is_connected(client)
        client.close()
        if isinstance(error, BadHostKeyException):
            _raise_host_key_changed(account, error)
        if isinstance(error, AuthenticationException) and not was_disconnected:
            _raise_access_denied(account)
        if isinstance(error, SSHException) and "No authentication methods" in str(error):
            _raise_access_denied(account)
        # macOS reports every name as unknown while there is no network.
        if isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME and sys.platform != "darwin":
            raise ArtDreamError(f"There is no SSH host {account.host}: mend its name in {account}.") from error
        if isinstance(error, ArtDreamError) or not isinstance(error, Exception):
            raise
        # paramiko raises nearly any exception if a host does not speak SSH properly.
        raise ConnectionError(f"the SSH host {account} does not answer ({_summarize_error(error)})") from error
    return client


class _RejectUnknownHostPolicy(paramiko.MissingHostKeyPolicy):
    """Rejects a host that is not in the known-hosts file."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> NoReturn:
        """Raise ArtDreamError that shows the host's key and says how to accept it."""
        host, port, known_hosts = self._account.host, self._account.port, self._account.known_hosts
        raise ArtDreamError(
            f"The SSH host {host} is not known: it shows the key {key.fingerprint} ({key.get_name()}), and "
            f"{known_hosts} has none of it; if that is the one that `ssh-keygen -lf` tells there of the files "
            f"/etc/ssh/ssh_host_*_key.pub, accept it with `ssh-keyscan -p {port} {host} >> {known_hosts}`."
        )


def _raise_host_key_changed(account: Account, error: BadHostKeyException) -> NoReturn:
    name = account.host if account.port == 22 else f"[{account.host}]:{account.port}"
    raise ArtDreamError(
        f"THE KEY OF THE SSH HOST {account.host} HAS CHANGED: it shows {error.key.fingerprint}, and "
        f"{account.known_hosts} knows {error.expected_key.fingerprint}. Somebody may be listening in, so nothing was "
        f"sent; if the host was reinstalled, forget the old key with "
        f"`ssh-keygen -f {account.known_hosts} -R '{name}'` and accept the new one."
    ) from error


def _raise_access_denied(account: Account) -> NoReturn:
    tried_keys = f"the key {account.key}" if account.key else "any key of the agent or of ~/.ssh"
    raise ArtDreamError(
        f"The SSH host {account.host} does not let {account.user} in with {tried_keys}: "
        f"let it in with `ssh-copy-id -p {account.port} {account.user}@{account.host}`, or name another key."
    )


def _load_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except Exception as error:  # each key type raises its own exceptions
        raise ArtDreamError(
            f"The SSH key {path} cannot be used ({_summarize_error(error)}): name a private key without a passphrase, "
            f"or give it to the agent with `ssh-add {path}` and name none."
        ) from error


def _load_known_hosts(client: paramiko.SSHClient, path: Path) -> None:
    try:
        client.load_system_host_keys(str(path))
    except FileNotFoundError:
        pass
    except (OSError, SSHException) as error:
        raise ArtDreamError(f"The file of known SSH hosts {path} cannot be read: {_summarize_error(error)}.") from error


def _is_connected(client: paramiko.SSHClient) -> bool:
    transport = client.get_transport()
    return transport is not None and transport.is_active()


def _summarize_error(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error).partition("\n")[0].rstrip(".") or type(error).__name__
