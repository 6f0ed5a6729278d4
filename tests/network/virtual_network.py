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

from tests.network.emulated_link import TUN, Line, Link, carried, tun_devices
from tests.servers import until
from tests.skip import missing

T = TypeVar("T")

#: Where iproute2 keeps the namespaces that have a name.
_NAMED = Path("/run/netns")

#: What this kernel knows.
_WAYS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, from linux/sched.h


class Host:
    """A machine, as far as the network goes. Its processes see its own interfaces and no others."""

    def __init__(self, name: str, way: str) -> None:
        """way: how its TCP makes way for others, in the kernel's words."""
        self.name = name
        self.way = way
        #: What a command is begun with, to run here.
        self.door = ["nsenter", f"--net={_NAMED / name}", "--"]
        self._started: list[subprocess.Popen[bytes]] = []

    def start(
        self, command: list[str], *, log: IO[bytes] | int, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[bytes]":
        """Start a command here. Whatever runs here when the host goes is killed."""
        told = {**os.environ, **(environment or {})}
        whole = [*self.door, *command]
        process = subprocess.Popen(whole, env=told, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._started.append(process)
        return process

    def within(self, work: Callable[[], T]) -> T:
        """Do something in this host's network, and return what comes of it. Its sockets stay in that network."""
        results: list[T] = []
        faults: list[BaseException] = []

        def enter() -> None:
            try:
                with (_NAMED / self.name).open() as network:
                    if _libc().setns(network.fileno(), _NEW_NETWORK) != 0:
                        raise OSError(ctypes.get_errno(), f"cannot enter {self.name}")
                results.append(work())
            except BaseException as fault:
                faults.append(fault)

        # A thread of its own: threads have networks, and this one never comes back.
        thread = threading.Thread(target=enter, name=self.name)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return results[0]

    def answers(self, port: int, address: str = "127.0.0.1") -> bool:
        """Tell whether somebody listens."""
        try:
            self.within(lambda: socket.create_connection((address, port), 2).close())
        except OSError:
            return False
        return True

    def remove(self) -> None:
        """Kill everything that runs here, and be no more."""
        try:
            until(self._killed, f"nothing runs on {self.name}")
            for process in self._started:
                process.wait()
        finally:
            _ip("netns", "del", self.name)

    def _killed(self) -> bool:
        left = _ip("netns", "pids", self.name).split()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # One that was started a moment ago may not have entered yet.
        outside = [process for process in self._started if process.poll() is None]
        for process in outside:
            process.kill()
        return not left and not outside


class Net:
    """Hosts, and what they are joined by."""

    def __init__(self) -> None:
        # So that two runs at once do not meet. Names of interfaces have 15 letters at most.
        self._token = secrets.token_hex(3)
        self._count = 0
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> "Net":
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def host(self, name: str, way: str = "cubic") -> Host:
        """Have a host with nothing but its loopback. way: "cubic" is what Macs have, and most servers."""
        host = Host(f"artdream-{name}-{self._token}", way if way in _WAYS.read_text().split() else "cubic")
        _ip("netns", "add", host.name)
        self._opened.callback(host.remove)
        _ip("-n", host.name, "link", "set", "lo", "up")
        return host

    def join_far(self, near: Host, far: Host, line: Line) -> tuple[Link, str, str]:
        """Join two hosts by a far link. Returns it, and the hosts' addresses."""
        here, there = self._interfaces()
        link = self._opened.enter_context(carried(line, here, there))
        addresses = self._settle((near, here), (far, there))
        return link, *addresses

    def join(self, one: Host, other: Host) -> tuple[str, str]:
        """Join two hosts of one computing centre: no delay, no loss. Returns their addresses."""
        here, there = self._interfaces()
        _ip("link", "add", here, "type", "veth", "peer", "name", there)
        return self._settle((one, here), (other, there))

    def _interfaces(self) -> tuple[str, str]:
        self._count += 1
        return f"ad{self._token}{self._count}a", f"ad{self._token}{self._count}b"

    def _settle(self, one: tuple[Host, str], other: tuple[Host, str]) -> tuple[str, str]:
        addresses = f"10.77.{self._count}.1", f"10.77.{self._count}.2"
        for (host, interface), own, others in zip((one, other), addresses, addresses[::-1], strict=True):
            _ip("link", "set", interface, "netns", host.name)
            _ip("-n", host.name, "address", "add", own, "peer", others, "dev", interface)
            _ip("-n", host.name, "link", "set", interface, "up")
            # Whatever this machine may prefer.
            _ip("-n", host.name, "route", "replace", others, "dev", interface, "src", own, "congctl", host.way)
        return addresses


def require_network() -> None:
    """Skip where hosts cannot be made; in CI, fail where only a command is missing."""
    packages = {"ip": "iproute2", "nsenter": "util-linux"}
    for command, package in packages.items():
        if shutil.which(command) is None:
            missing(f"hosts of their own need `{command}`: apt install {package}")
    # A container that may not is no fault of the checkout.
    probe = f"artdream-probe-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode:
        pytest.skip("hosts of their own need root, and leave to make network namespaces")
    _ip("netns", "del", probe)
    if not tun_devices():
        pytest.skip(f"a far link needs {TUN}, and leave to use it")


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@contextmanager
def net() -> Iterator[Net]:
    """Have hosts for a while. Nothing of them is left, whatever happens."""
    require_network()
    with Net() as made:
        yield made
