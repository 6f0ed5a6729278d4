"""The link that the tests of far hosts stand on is as far, as slow and as bad as it says."""

import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.network.emulated_link import EmulatedLink, LinkProfile
from tests.network.virtual_network import VirtualHost, VirtualNetwork, virtual_network

#: The least that can be told from a machine's own delays.
LOAD_BYTES = 1_000_000


@pytest.fixture
def network() -> Iterator[VirtualNetwork]:
    with virtual_network() as made:
        yield made


def test_an_answer_takes_the_time_there_and_back(network: VirtualNetwork) -> None:
    near, address, _, listener = _connect_hosts(network, LinkProfile(rtt=0.040, loss=0))
    with listener:
        times = [near.run_inside(lambda: _measure_connect(address)) for _ in range(9)]
    assert min(times) >= 0.040
    assert statistics.median(times) < 0.060


def test_no_more_goes_up_than_the_line_carries(network: VirtualNetwork) -> None:
    near, address, _, listener = _connect_hosts(network, LinkProfile(up=20e6, loss=0))
    with listener:
        seconds = near.run_inside(lambda: _measure_transfer(listener, address))
    assert 8 * LOAD_BYTES / 20e6 < seconds < 2.5 * 8 * LOAD_BYTES / 20e6


def test_packets_are_lost_and_tcp_brings_all_there_nevertheless(network: VirtualNetwork) -> None:
    near, address, _, listener = _connect_hosts(network, LinkProfile(rtt=0.010, up=100e6, loss=0.05))
    with listener:
        near.run_inside(lambda: _measure_transfer(listener, address))
    told = subprocess.run(
        [*near.command_prefix, "cat", "/proc/net/snmp"], capture_output=True, text=True, check=True
    ).stdout
    names, numbers = (line.split() for line in told.splitlines() if line.startswith("Tcp:"))
    counted = dict(zip(names, numbers, strict=True))
    again = int(counted["RetransSegs"]) / int(counted["OutSegs"])
    assert 0.02 < again < 0.15


def test_a_cut_link_carries_nothing_until_it_is_mended(network: VirtualNetwork) -> None:
    near, address, link, listener = _connect_hosts(network, LinkProfile(loss=0))
    with listener:
        link.cut()
        with pytest.raises(TimeoutError):
            near.run_inside(lambda: _measure_connect(address, timeout=0.3))
        link.restore()
        assert near.run_inside(lambda: _measure_connect(address)) >= 0.040


def test_hosts_see_no_other_network(network: VirtualNetwork) -> None:
    lone = network.add_host("lone")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        assert not lone.is_listening(outside.getsockname()[1])
    with pytest.raises(OSError, match="unreachable"):
        lone.run_inside(lambda: socket.create_connection(("192.0.2.1", 80), 1))


def test_nothing_of_a_network_is_left_even_after_a_failure() -> None:
    def names() -> str:
        return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

    with pytest.raises(ZeroDivisionError), virtual_network() as made:  # noqa: PT012
        host = made.add_host("short")
        process = host.start(["sleep", "60"], log=subprocess.DEVNULL)
        assert host.name in names()
        raise ZeroDivisionError
    assert host.name not in names()
    assert process.wait(5) != 0


def _connect_hosts(
    network: VirtualNetwork, profile: LinkProfile
) -> tuple[VirtualHost, str, EmulatedLink, socket.socket]:
    """Join two hosts; somebody listens at the far one."""
    near, far = network.add_host("near"), network.add_host("far")
    link, _, address = network.connect_remote(near, far, profile)
    return near, address, link, far.run_inside(lambda: socket.create_server((address, 7000)))


def _measure_connect(address: str, timeout: float = 10) -> float:
    began = time.monotonic()
    socket.create_connection((address, 7000), timeout).close()
    return time.monotonic() - began


def _measure_transfer(listener: socket.socket, address: str) -> float:
    """Return the seconds that a load takes to be whole at the other end."""
    whole = threading.Event()

    def take() -> None:
        far, _ = listener.accept()
        with far:
            count = 0
            while count < LOAD_BYTES and (data := far.recv(2**16)):
                count += len(data)
        whole.set()

    threading.Thread(target=take, daemon=True).start()
    with socket.create_connection((address, 7000), 10) as near:
        began = time.monotonic()
        near.sendall(bytes(LOAD_BYTES))
        assert whole.wait(60)
        return time.monotonic() - began
