"""The emulated link has the latency, the rate and the losses of its profile."""

import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.network.emulated_link import EmulatedLink, LinkProfile
from tests.network.virtual_network import VirtualHost, VirtualNetwork, virtual_network

pytestmark = pytest.mark.slow

#: Bytes of a transfer, enough that its time is large compared with this machine's own delays.
LOAD_BYTES = 1_000_000


@pytest.fixture
def network() -> Iterator[VirtualNetwork]:
    with virtual_network() as created:
        yield created


def test_an_answer_takes_the_time_there_and_back(network: VirtualNetwork) -> None:
    client, address, _, listener = _connect_hosts(network, LinkProfile(rtt=0.040, loss=0))
    with listener:
        times = [client.run_inside(lambda: _measure_connect(address)) for _ in range(9)]
        while min(times) > 0.060 and len(times) < 200:  # a busy machine makes any answer later
            times.append(client.run_inside(lambda: _measure_connect(address)))
    assert 0.040 <= min(times) < 0.060


def test_no_more_goes_up_than_the_line_carries(network: VirtualNetwork) -> None:
    client, address, _, listener = _connect_hosts(network, LinkProfile(up=20e6, loss=0))
    with listener:
        seconds = min(client.run_inside(lambda: _measure_transfer(listener, address)) for _ in range(3))
    assert 8 * LOAD_BYTES / 20e6 < seconds < 2.5 * 8 * LOAD_BYTES / 20e6


def test_packets_are_lost_and_tcp_brings_all_there_nevertheless(network: VirtualNetwork) -> None:
    client, address, _, listener = _connect_hosts(network, LinkProfile(rtt=0.010, up=100e6, loss=0.05))
    with listener:
        client.run_inside(lambda: _measure_transfer(listener, address))
    statistics_text = subprocess.run(
        [*client.command_prefix, "cat", "/proc/net/snmp"], capture_output=True, text=True, check=True
    ).stdout
    names, numbers = (line.split() for line in statistics_text.splitlines() if line.startswith("Tcp:"))
    counters = dict(zip(names, numbers, strict=True))
    retransmitted_share = int(counters["RetransSegs"]) / int(counters["OutSegs"])
    assert 0.02 < retransmitted_share < 0.15


def test_a_cut_link_carries_nothing_until_it_is_mended(network: VirtualNetwork) -> None:
    client, address, link, listener = _connect_hosts(network, LinkProfile(loss=0))
    with listener:
        link.cut()
        with pytest.raises(TimeoutError):
            client.run_inside(lambda: _measure_connect(address, timeout=0.3))
        link.restore()
        assert client.run_inside(lambda: _measure_connect(address)) >= 0.040


def test_hosts_see_no_other_network(network: VirtualNetwork) -> None:
    host = network.add_host("lone")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        assert not host.is_listening(outside.getsockname()[1])
    with pytest.raises(OSError, match="unreachable"):
        host.run_inside(lambda: socket.create_connection(("192.0.2.1", 80), 1))


def test_nothing_of_a_network_is_left_even_after_a_failure() -> None:
    def list_namespaces() -> str:
        return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

    with pytest.raises(ZeroDivisionError), virtual_network() as network:  # noqa: PT012
        host = network.add_host("short")
        process = host.start(["sleep", "60"], log=subprocess.DEVNULL)
        assert host.name in list_namespaces()
        raise ZeroDivisionError
    assert host.name not in list_namespaces()
    assert process.wait(5) != 0


def _connect_hosts(
    network: VirtualNetwork, profile: LinkProfile
) -> tuple[VirtualHost, str, EmulatedLink, socket.socket]:
    """Connect two hosts by an emulated link.

    Returns the client host, the server's address, the link and a socket that listens on the server.
    """
    client, server = network.add_host("near"), network.add_host("far")
    link, _, address = network.connect_remote(client, server, profile)
    return client, address, link, server.run_inside(lambda: socket.create_server((address, 7000)))


def _measure_connect(address: str, timeout: float = 10) -> float:
    started = time.monotonic()
    socket.create_connection((address, 7000), timeout).close()
    return time.monotonic() - started


def _measure_transfer(listener: socket.socket, address: str) -> float:
    """Return the seconds until the server has received `LOAD_BYTES`."""
    received = threading.Event()

    def receive() -> None:
        connection, _ = listener.accept()
        with connection:
            byte_count = 0
            while byte_count < LOAD_BYTES and (data := connection.recv(2**16)):
                byte_count += len(data)
        received.set()

    threading.Thread(target=receive, daemon=True).start()
    with socket.create_connection((address, 7000), 10) as client:
        started = time.monotonic()
        client.sendall(bytes(LOAD_BYTES))
        assert received.wait(60)
        return time.monotonic() - started
