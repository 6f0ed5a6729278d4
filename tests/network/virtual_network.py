"""Hosts: network namespaces of this machine, each with its own loopback and nothing else but what it is joined to."""

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
from tests.servers import wait_until
from tests.skip import skip_or_fail

T = TypeVar("T")

#: Where iproute2 keeps the namespaces that have a name.
_NAMESPACE_FOLDER = Path("/run/netns")

#: What this kernel knows.
_CONGESTION_CONTROLS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

_CLONE_NEWNET = 0x40000000  # CLONE_NEWNET, from linux/sched.h


class VirtualHost:
    """A machine, as far as the network goes. Its processes see its own interfaces and no others."""

    def __init__(self, name: str, congestion_control: str) -> None:
        """way: how its TCP makes way for others, in the kernel's words."""
        self.name = name
        self.congestion_control = congestion_control
        #: What a command is begun with, to run here.
        self.command_prefix = ["nsenter", f"--net={_NAMESPACE_FOLDER / name}", "--"]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(
        self, command: list[str], *, log: IO[bytes] | int, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a command here. Whatever runs here when the host goes is killed."""
        told = {**os.environ, **(environment or {})}
        whole = [*self.command_prefix, *command]
        process = subprocess.Popen(whole, env=told, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._processes.append(process)
        return process

    def run_inside(self, action: Callable[[], T]) -> T:
        """Do something in this host's network, and return what comes of it. Its sockets stay in that network."""
        results: list[T] = []
        faults: list[BaseException] = []

        def enter() -> None:
            try:
                with (_NAMESPACE_FOLDER / self.name).open() as network:
                    if _load_libc().setns(network.fileno(), _CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
                results.append(action())
            except BaseException as fault:
                faults.append(fault)

        # A thread of its own: threads have networks, and this one never comes back.
        thread = threading.Thread(target=enter, name=self.name)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return results[0]

    def is_listening(self, port: int, address: str = "127.0.0.1") -> bool:
        """Tell whether somebody listens."""
        try:
            self.run_inside(lambda: socket.create_connection((address, port), 2).close())
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Kill everything that runs here, and be no more."""
        try:
            wait_until(self._kill_processes, f"nothing runs on {self.name}")
            for process in self._processes:
                process.wait()
        finally:
            _run_ip("netns", "del", self.name)

    def _kill_processes(self) -> bool:
        left = _run_ip("netns", "pids", self.name).split()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # One that was started a moment ago may not have entered yet.
        outside = [process for process in self._processes if process.poll() is None]
        for process in outside:
            process.kill()
        return not left and not outside


class VirtualNetwork:
    """Hosts, and what they are joined by."""

    def __init__(self) -> None:
        # So that two runs at once do not meet. Names of interfaces have 15 letters at most.
        self._token = secrets.token_hex(3)
        self._link_count = 0
        self._resources = contextlib.ExitStack()

    def __enter__(self) -> "VirtualNetwork":
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def add_host(self, name: str, congestion_control: str = "cubic") -> VirtualHost:
        """Have a host with nothing but its loopback. way: "cubic" is what Macs have, and most servers."""
        host = VirtualHost(
            f"artdream-{name}-{self._token}",
            congestion_control if congestion_control in _CONGESTION_CONTROLS.read_text().split() else "cubic",
        )
        _run_ip("netns", "add", host.name)
        self._resources.callback(host.remove)
        _run_ip("-n", host.name, "link", "set", "lo", "up")
        return host

    def connect_remote(
        self, near: VirtualHost, far: VirtualHost, profile: LinkProfile
    ) -> tuple[EmulatedLink, str, str]:
        """Join two hosts by a far link. Returns it, and the hosts' addresses."""
        here, there = self._next_interfaces()
        link = self._resources.enter_context(emulate_link(profile, here, there))
        addresses = self._configure((near, here), (far, there))
        return link, *addresses

    def connect_local(self, one: VirtualHost, other: VirtualHost) -> tuple[str, str]:
        """Join two hosts of one computing centre: no delay, no loss. Returns their addresses."""
        here, there = self._next_interfaces()
        _run_ip("link", "add", here, "type", "veth", "peer", "name", there)
        return self._configure((one, here), (other, there))

    def _next_interfaces(self) -> tuple[str, str]:
        self._link_count += 1
        return f"ad{self._token}{self._link_count}a", f"ad{self._token}{self._link_count}b"

    def _configure(self, one: tuple[VirtualHost, str], other: tuple[VirtualHost, str]) -> tuple[str, str]:
        addresses = f"10.77.{self._link_count}.1", f"10.77.{self._link_count}.2"
        for (host, interface), own, others in zip((one, other), addresses, addresses[::-1], strict=True):
            _run_ip("link", "set", interface, "netns", host.name)
            _run_ip("-n", host.name, "address", "add", own, "peer", others, "dev", interface)
            _run_ip("-n", host.name, "link", "set", interface, "up")
            # Whatever this machine may prefer.
            _run_ip(
                "-n",
                host.name,
                "route",
                "replace",
                others,
                "dev",
                interface,
                "src",
                own,
                "congctl",
                host.congestion_control,
            )
        return addresses


def require_network() -> None:
    """Skip where hosts cannot be made; in CI, fail where only a command is missing."""
    packages = {"ip": "iproute2", "nsenter": "util-linux"}
    for command, package in packages.items():
        if shutil.which(command) is None:
            skip_or_fail(f"hosts of their own need `{command}`: apt install {package}")
    # A container that may not is no fault of the checkout.
    probe = f"artdream-probe-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        pytest.skip("hosts of their own need root, and leave to make network namespaces")
    _run_ip("netns", "del", probe)
    if not has_tun_devices():
        pytest.skip(f"a far link needs {TUN_DEVICE}, and leave to use it")


def _run_ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _load_libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextmanager
def virtual_network() -> Iterator[VirtualNetwork]:
    """Have hosts for a while. Nothing of them is left, whatever happens."""
    require_network()
    with VirtualNetwork() as made:
        yield made
