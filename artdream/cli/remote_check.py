"""`artdream deploy check`: check over SSH whether a machine can run a worker. Changes nothing on it."""

import dataclasses
import re
import shlex
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from typing import cast
from urllib.parse import urlsplit

import paramiko
import redis
from paramiko.ssh_exception import SSHException

from artdream.cli.checks import CheckResult
from artdream.cli.doctor import MAX_CLOCK_SKEW_SECONDS
from shared.broker.client import (
    BROKER_ACCESS_DENIED,
    BROKER_UNAVAILABLE,
    connect,
    describe_error,
    require_noeviction,
)
from shared.errors import ArtDreamError
from shared.settings import ENV_PREFIX, Settings
from shared.ssh.broker_tunnel import open_broker_tunnel
from shared.ssh.connection import SSH_TIMEOUT_SECONDS, Account, log_in

#: GB of disk for the components, the networks' weights and an evening's pictures; GB of memory for a worker.
MIN_FREE_DISK_GB, MIN_FREE_MEMORY_GB = 10.0, 4.0

#: Oldest major version of NVIDIA's driver that the libraries of the extra `gpu` support.
MIN_DRIVER_VERSION = 525

#: Oldest and newest supported version.
SUPPORTED_PYTHON_VERSIONS = ((3, 11), (3, 13))

#: Virtual environment and systemd unit that deploy/vm/install creates.
VENV_PATH, SYSTEMD_UNIT = "/opt/artdream/venv", "artdream-worker"

#: Ports that may be open to the network (HTTP, HTTPS), in addition to SSH's.
ALLOWED_PORTS = frozenset({80, 443})

#: Seconds that a command may be silent: `nvidia-smi` takes many where the driver is not loaded between two uses.
_COMMAND_TIMEOUT_SECONDS = 60.0

#: State of a listening socket in /proc/net/tcp.
_TCP_LISTEN_STATE = "0A"

#: What paramiko returns as a command's exit status if the connection breaks before the command ends.
_NO_EXIT_STATUS = -1


def check_machine(settings: Settings) -> Iterator[CheckResult]:
    """Check the machine of `settings.ssh`, and yield the result of each check.

    Raises ArtDreamError if the machine cannot be reached or refuses the login.
    """
    account = Account.parse(settings.ssh or "", settings.ssh_key, settings.ssh_known_hosts)
    try:
        client = log_in(account)
    except ConnectionError as error:
        raise ArtDreamError(f"Cannot connect: {error}. Is the host running, and is {account} correct?") from error
    with client:
        machine = RemoteMachine(client, account, settings)
        for name, check in _CHECKS.items():
            try:
                result = CheckResult(name=name, passed=True, finding=check(machine))
            except (ArtDreamError, *BROKER_UNAVAILABLE, *BROKER_ACCESS_DENIED) as error:
                result = CheckResult(name=name, passed=False, finding=describe_error(error))
            except (SSHException, OSError, EOFError) as error:
                raise ArtDreamError(
                    f"The SSH host {account} closed the connection ({error or type(error).__name__})."
                ) from error
            yield result


@dataclasses.dataclass(frozen=True)
class RemoteMachine:
    """A machine with an open SSH connection."""

    client: paramiko.SSHClient
    account: Account
    settings: Settings

    def run(self, command: str) -> str | None:
        """Run a shell command on the machine. Returns its stripped stdout; None if it fails or does not exist.

        Raises SSHException, EOFError or OSError if the connection breaks.
        """
        _, stdout, _ = self.client.exec_command(
            f"LC_ALL=C sh -c {shlex.quote(command)}", timeout=_COMMAND_TIMEOUT_SECONDS
        )
        output = stdout.read().decode(errors="replace").strip()
        exit_status = stdout.channel.recv_exit_status()
        if exit_status == _NO_EXIT_STATUS:
            raise SSHException("a command did not end")
        return output if exit_status == 0 else None

    @cached_property
    def listening_sockets(self) -> list[tuple[bytes, int]] | None:
        """Packed IPv4 or IPv6 addresses and ports of all listening TCP sockets; None if the machine is not Linux."""
        table = self.run("cat /proc/net/tcp; cat /proc/net/tcp6 2>/dev/null || true")
        return None if table is None else list(_parse_listening_sockets(table))


def _check_python(machine: RemoteMachine) -> str:
    program = "import platform; print(platform.python_version(), platform.system(), platform.machine())"
    output = machine.run(
        f'for one in {VENV_PATH}/bin/python python3; do "$one" -c "{program}" 2>/dev/null && exit; done; exit 1'
    )
    oldest, newest = (".".join(map(str, version)) for version in SUPPORTED_PYTHON_VERSIONS)
    if output is None:
        raise ArtDreamError(f"Python is missing: run deploy/vm/install, or install Python {oldest} to {newest}.")
    version = re.match(r"(\d+)\.(\d+)", output)
    if (
        not version
        or not SUPPORTED_PYTHON_VERSIONS[0] <= (int(version[1]), int(version[2])) <= SUPPORTED_PYTHON_VERSIONS[1]
    ):
        raise ArtDreamError(f"Python is {output}: run deploy/vm/install, or install Python {oldest} to {newest}.")
    return output


def _check_disk(machine: RemoteMachine) -> str:
    output = machine.run("for one in /var/lib/artdream /var/lib; do df -Pk $one 2>/dev/null && exit; done; exit 1")
    last_line = (output or "").splitlines()[-1:] or [""]
    try:
        free_gb, mount_point = int(last_line[0].split()[3]) * 1024 / 1e9, last_line[0].split()[5]
    except (ValueError, IndexError):
        raise ArtDreamError("The free disk space cannot be determined: df prints nothing.") from None
    if free_gb < MIN_FREE_DISK_GB:
        raise ArtDreamError(
            f"{free_gb:.1f} GB are free at {mount_point}: an installation needs {MIN_FREE_DISK_GB:.0f} GB."
        )
    return f"{free_gb:.0f} GB free at {mount_point}"


def _check_driver(machine: RemoteMachine) -> str:
    output = machine.run("nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader")
    if not output:
        raise ArtDreamError(
            f"nvidia-smi finds no GPU: install NVIDIA's driver, {MIN_DRIVER_VERSION} or later, or use the slower CPU."
        )
    for gpu in output.splitlines():
        version = re.search(r", (\d+)\.", gpu)
        if not version or int(version[1]) < MIN_DRIVER_VERSION:
            raise ArtDreamError(
                f"The driver is too old ({gpu}): install NVIDIA's driver, {MIN_DRIVER_VERSION} or later."
            )
    return "; ".join(output.splitlines())


def _check_memory(machine: RemoteMachine) -> str:
    available = re.search(r"MemAvailable:\s+(\d+) kB", machine.run("cat /proc/meminfo") or "")
    if not available:
        raise ArtDreamError("The free memory cannot be determined: the machine does not run Linux.")
    free_gb = int(available[1]) * 1024 / 1e9
    if free_gb < MIN_FREE_MEMORY_GB:
        raise ArtDreamError(f"{free_gb:.1f} GB of memory are free: a worker needs {MIN_FREE_MEMORY_GB:.0f} GB.")
    return f"{free_gb:.0f} GB free"


def _check_ports(machine: RemoteMachine) -> str:
    if machine.listening_sockets is None:
        raise ArtDreamError("The open ports cannot be determined: the machine does not run Linux.")
    open_ports = {port for address, port in machine.listening_sockets if not _is_loopback(address)}
    if unexpected := sorted(open_ports - ALLOWED_PORTS - {machine.account.port, 22}):
        ports = "port " + str(unexpected[0]) if len(unexpected) == 1 else "ports " + ", ".join(map(str, unexpected))
        raise ArtDreamError(
            f"A program is open to the network on {ports}: bind it to 127.0.0.1, or make sure that a firewall blocks "
            "it."
        )
    return "only SSH, HTTP and HTTPS are open to the network"


def _parse_listening_sockets(table: str) -> Iterator[tuple[bytes, int]]:
    """Yield packed address and port of the listening sockets in /proc/net/tcp.

    Addresses are 32-bit words in the machine's byte order, assumed to be little-endian.
    """
    for line in table.splitlines():
        fields = line.split()
        if len(fields) > 3 and fields[3] == _TCP_LISTEN_STATE:
            address, _, port = fields[1].partition(":")
            words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
            yield struct.pack(f"<{len(words)}I", *words), int(port, 16)


def _is_loopback(address: bytes) -> bool:
    is_mapped_ipv4 = address[:12] == b"\0" * 10 + b"\xff\xff"
    if len(address) == 4 or is_mapped_ipv4:
        return address[-4] == 127
    return address == socket.inet_pton(socket.AF_INET6, "::1")


def _check_broker(machine: RemoteMachine) -> str:
    settings = machine.settings
    if settings.broker_url is None:
        raise ArtDreamError(
            f"The broker cannot be checked: set {ENV_PREFIX}BROKER_URL to the value that the machine's components use."
        )
    port = urlsplit(settings.configured_broker_url).port or 6379
    addresses = [address for address, open_port in machine.listening_sockets or () if open_port == port]
    if not addresses:
        raise ArtDreamError(f"Nothing listens on port {port} of the broker in {ENV_PREFIX}BROKER_URL.")
    with ExitStack() as stack:
        client = connect(stack.enter_context(open_broker_tunnel(settings)).broker, timeout=SSH_TIMEOUT_SECONDS)
        stack.callback(client.close)
        problems = _find_broker_problems(client)
    if not all(map(_is_loopback, addresses)):
        problems.insert(0, f"it is open to the network on port {port}: bind 127.0.0.1")
    if problems:
        raise ArtDreamError("The broker's configuration must change: " + "; ".join(problems) + ".")
    return f"on loopback, port {port}; evicts nothing, keeps an append-only file"


def _find_broker_problems(client: redis.Redis) -> list[str]:
    client.ping()
    problems = []
    try:
        require_noeviction(client)
    except ArtDreamError:
        problems.append("it may evict keys: set maxmemory-policy noeviction")
    if not cast("dict[str, object]", client.info("persistence"))["aof_enabled"]:
        problems.append("a restart loses queued jobs: set appendonly yes")
    return problems


def _check_worker(machine: RemoteMachine) -> str:
    state = machine.run(f"systemctl is-active {SYSTEMD_UNIT} 2>/dev/null || true")
    if not state:
        raise ArtDreamError("systemd is not running, so nothing restarts a worker: run deploy/vm/install on a VM.")
    if state != "active":
        raise ArtDreamError(
            f"The unit {SYSTEMD_UNIT} is {state}: see `journalctl -u {SYSTEMD_UNIT}`, or run deploy/vm/install."
        )
    return f"the unit {SYSTEMD_UNIT} is active"


def _check_clock(machine: RemoteMachine) -> str:
    machine.run("true")  # So that the measured round trip does not include opening the first channel.
    before = time.time()
    output = machine.run("date +%s.%N")
    after = time.time()
    try:
        skew_seconds = float(output or "") - (before + after) / 2
    except ValueError:
        raise ArtDreamError("Its clock cannot be read: date prints nothing.") from None
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS + (after - before) / 2:
        direction = "ahead of" if skew_seconds > 0 else "behind"
        raise ArtDreamError(f"Its clock is {abs(skew_seconds):.1f} s {direction} this one: synchronize both with NTP.")
    return "agrees with this one"


_CHECKS: dict[str, Callable[[RemoteMachine], str]] = {
    "python": _check_python,
    "disk": _check_disk,
    "driver": _check_driver,
    "memory": _check_memory,
    "ports": _check_ports,
    "broker": _check_broker,
    "worker": _check_worker,
    "clock": _check_clock,
}
