"""The link that the tests of far hosts stand on is as far, as slow and as bad as it says."""

import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.network.emulated_link import Line, Link
from tests.network.virtual_network import Host, Net, net

#: The least that can be told from a machine's own delays.
LOAD = 1_000_000


@pytest.fixture
def network() -> Iterator[Net]:
    with net() as made:
        yield made


def test_an_answer_takes_the_time_there_and_back(network: Net) -> None:
    near, address, _, listener = _ends(network, Line(rtt=0.040, loss=0))
    with listener:
        times = [near.within(lambda: _connecting(address)) for _ in range(9)]
    assert min(times) >= 0.040
    assert statistics.median(times) < 0.060


def test_no_more_goes_up_than_the_line_carries(network: Net) -> None:
    near, address, _, listener = _ends(network, Line(up=20e6, loss=0))
    with listener:
        seconds = near.within(lambda: _sending(listener, address))
    assert 8 * LOAD / 20e6 < seconds < 2.5 * 8 * LOAD / 20e6


def test_packets_are_lost_and_tcp_brings_all_there_nevertheless(network: Net) -> None:
    near, address, _, listener = _ends(network, Line(rtt=0.010, up=100e6, loss=0.05))
    with listener:
        near.within(lambda: _sending(listener, address))
    told = subprocess.run([*near.door, "cat", "/proc/net/snmp"], capture_output=True, text=True, check=True).stdout
    names, numbers = (line.split() for line in told.splitlines() if line.startswith("Tcp:"))
    counted = dict(zip(names, numbers, strict=True))
    again = int(counted["RetransSegs"]) / int(counted["OutSegs"])
    assert 0.02 < again < 0.15


def test_a_cut_link_carries_nothing_until_it_is_mended(network: Net) -> None:
    near, address, link, listener = _ends(network, Line(loss=0))
    with listener:
        link.cut()
        with pytest.raises(TimeoutError):
            near.within(lambda: _connecting(address, patience=0.3))
        link.mend()
        assert near.within(lambda: _connecting(address)) >= 0.040


def test_hosts_see_no_other_network(network: Net) -> None:
    lone = network.host("lone")
    with socket.create_server(("127.0.0.1", 0)) as outside:
        assert not lone.answers(outside.getsockname()[1])
    with pytest.raises(OSError, match="unreachable"):
        lone.within(lambda: socket.create_connection(("192.0.2.1", 80), 1))


def test_nothing_of_a_network_is_left_even_after_a_failure() -> None:
    def names() -> str:
        return subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout

    with pytest.raises(ZeroDivisionError), net() as made:  # noqa: PT012
        host = made.host("short")
        process = host.start(["sleep", "60"], log=subprocess.DEVNULL)
        assert host.name in names()
        raise ZeroDivisionError
    assert host.name not in names()
    assert process.wait(5) != 0


def _ends(network: Net, line: Line) -> tuple[Host, str, Link, socket.socket]:
    """Join two hosts; somebody listens at the far one."""
    near, far = network.host("near"), network.host("far")
    link, _, address = network.join_far(near, far, line)
    return near, address, link, far.within(lambda: socket.create_server((address, 7000)))


def _connecting(address: str, patience: float = 10) -> float:
    began = time.monotonic()
    socket.create_connection((address, 7000), patience).close()
    return time.monotonic() - began


def _sending(listener: socket.socket, address: str) -> float:
    """Return the seconds that a load takes to be whole at the other end."""
    whole = threading.Event()

    def take() -> None:
        far, _ = listener.accept()
        with far:
            count = 0
            while count < LOAD and (data := far.recv(2**16)):
                count += len(data)
        whole.set()

    threading.Thread(target=take, daemon=True).start()
    with socket.create_connection((address, 7000), 10) as near:
        began = time.monotonic()
        near.sendall(bytes(LOAD))
        assert whole.wait(60)
        return time.monotonic() - began
