"""Virtual hosts: network namespaces of this machine, each with its own loopback interface and its links only."""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import pytest

from tests.network.emulated_link import TUN_DEVICE, EmulatedLink, LinkProfile, emulate_link, has_tun_devices
from tests.skip import skip_or_fail
from tests.waiting import wait_until

T = TypeVar("T")

#: The folder in which iproute2 keeps named namespaces.
_NAMESPACE_FOLDER = Path("/run/netns")

#: Lists the congestion controls of this kernel.
_CONGESTION_CONTROLS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

_CLONE_NEWNET = 0x40000000  # CLONE_NEWNET, from linux/sched.h


class VirtualHost:
    """A network namespace with processes, which see its own interfaces only."""

    def __init__(self, name: str, congestion_control: str) -> None:
        """congestion_control: the kernel's name of the TCP congestion control, "cubic" or "bbr"."""
        self.name = name
        self.congestion_control = congestion_control
        #: Prefix of command lines to run them on this host.
        self.command_prefix = ["nsenter", f"--net={_NAMESPACE_FOLDER / name}", "--"]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, command: list[str], *, log: IO[bytes] | int, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a command on this host and return its process; `remove` kills it.

        log: file for stdout and stderr. environment: variables in addition to this process's.
        """
        variables = {**os.environ, **(environment or {})}
        full_command = [*self.command_prefix, *command]
        process = subprocess.Popen(full_command, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def run_inside(self, action: Callable[[], T]) -> T:
        """Call `action` in this host's network and return its result; its sockets stay in that network.

        Re-raises the exception of `action`.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def enter() -> None:
            try:
                with (_NAMESPACE_FOLDER / self.name).open() as network:
                    if _load_libc().setns(network.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
                results.append(action())
            except BaseException as error:
                errors.append(error)

        # In a new thread: a network namespace belongs to a thread, and this one never leaves it.
        thread = threading.Thread(target=enter, name=self.name)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def is_listening(self, port: int, address: str = "127.0.0.1") -> bool:
        """Return whether a connection to a port succeeds from this host."""
        try:
            self.run_inside(lambda: socket.create_connection((address, port), 2).close())
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Kill all processes of this host and delete its namespace."""
        try:
            wait_until(self._kill_processes, f"nothing runs on {self.name}")
            for process in self._processes:
                process.wait()
        finally:
            _run_ip("netns", "del", self.name)

    def _kill_processes(self) -> bool:
        pids = _run_ip("netns", "pids", self.name).split()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # A process that has just started may not have entered the namespace yet.
        outside = [process for process in self._processes if process.poll() is None]
        for process in outside:
            process.kill()
        return not pids and not outside


class VirtualNetwork:
    """Virtual hosts and the links between them."""

    def __init__(self) -> None:
        # Keeps parallel runs apart. Interface names have at most 15 characters.
        self._token = secrets.token_hex(3)
        self._link_count = 0
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> "VirtualNetwork":
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def add_host(self, name: str, congestion_control: str = "cubic") -> VirtualHost:
        """Create a host with a loopback interface only.

        congestion_control: "cubic" is the default of Macs and most servers; also used if the kernel lacks the other
        """
        host = VirtualHost(
            f"artdream-{name}-{self._token}",
            congestion_control if congestion_control in _CONGESTION_CONTROLS.read_text().split() else "cubic",
        )
        _run_ip("netns", "add", host.name)
        self._resources.callback(host.remove)
        _run_ip("-n", host.name, "link", "set", "lo", "up")
        return host

    def adopt_host(self, name: str, process_id: int) -> VirtualHost:
        """Return the host that a process is on, as the first one of a container without links.

        It is removed with the others, and its processes with it.
        """
        host = VirtualHost(f"artdream-{name}-{self._token}", "cubic")
        _run_ip("netns", "attach", host.name, str(process_id))
        self._resources.callback(host.remove)
        return host

    def connect_remote(
        self, near: VirtualHost, far: VirtualHost, profile: LinkProfile
    ) -> tuple[EmulatedLink, str, str]:
        """Connect two hosts by an emulated link; return the link and the addresses of both hosts."""
        near_interface, far_interface = self._next_interfaces()
        link = self._resources.enter_context(emulate_link(profile, near_interface, far_interface))
        addresses = self._configure((near, near_interface), (far, far_interface))
        return link, *addresses

    def connect_local(self, first_host: VirtualHost, second_host: VirtualHost) -> tuple[str, str]:
        """Connect two hosts of one data center, without latency or loss; return their addresses."""
        first_interface, second_interface = self._next_interfaces()
        _run_ip("link", "add", first_interface, "type", "veth", "peer", "name", second_interface)
        return self._configure((first_host, first_interface), (second_host, second_interface))

    def _next_interfaces(self) -> tuple[str, str]:
        self._link_count += 1
        return f"ad{self._token}{self._link_count}a", f"ad{self._token}{self._link_count}b"

    def _configure(self, first: tuple[VirtualHost, str], second: tuple[VirtualHost, str]) -> tuple[str, str]:
        addresses = f"10.77.{self._link_count}.1", f"10.77.{self._link_count}.2"
        for (host, interface), address, peer_address in zip((first, second), addresses, addresses[::-1], strict=True):
            _run_ip("link", "set", interface, "netns", host.name)
            _run_ip("-n", host.name, "address", "add", address, "peer", peer_address, "dev", interface)
            _run_ip("-n", host.name, "link", "set", interface, "up")
            # The congestion control of this host, whatever this machine's default is.
            _run_ip(
                "-n",
                host.name,
                "route",
                "replace",
                peer_address,
                "dev",
                interface,
                "src",
                address,
                "congctl",
                host.congestion_control,
            )
        return addresses


def require_network() -> None:
    """Skip the test if hosts cannot be created; in CI, fail if only a command is missing."""
    packages = {"ip": "iproute2", "nsenter": "util-linux"}
    for command, package in packages.items():
        if shutil.which(command) is None:
            skip_or_fail(f"hosts of their own need `{command}`: apt install {package}")
    # Missing permissions of a container are not a fault of the checkout: skip in CI, too.
    probe = f"artdream-probe-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        pytest.skip("hosts of their own need root, and leave to make network namespaces")
    _run_ip("netns", "del", probe)
    if not has_tun_devices():
        pytest.skip(f"a far link needs {TUN_DEVICE}, and leave to use it")


def _run_ip(*arguments: str) -> str:
    completed = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, f"ip {' '.join(arguments)}: {completed.stderr}"
    return completed.stdout


def _load_libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextmanager
def virtual_network() -> Iterator[VirtualNetwork]:
    """Yield a virtual network, and remove it with all processes, hosts and links on exit."""
    require_network()
    with VirtualNetwork() as network:
        yield network
