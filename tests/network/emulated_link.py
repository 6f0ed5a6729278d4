"""An emulated link between two hosts: IP packets with a latency, a rate and losses, until the link is cut.

The kernel's `tc netem` would do the same, but many kernels lack it; this module needs TUN devices only, is the same
everywhere, and loses the same packets for the same seed. Both ends are the kernel's real TCP, with its own
retransmissions. A process of its own carries the packets, so that a busy test does not delay them.
"""

import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TUN_DEVICE = Path("/dev/net/tun")

#: From linux/if_tun.h: TUNSETIFF; IFF_TUN | IFF_NO_PI (IP packets without a header).
_TUNSETIFF, _TUN_FLAGS = 0x400454CA, 0x0001 | 0x1000

#: Bytes of one read; the devices' packets have at most 1500.
_READ_BYTES = 2048

_CUT_COMMAND, _RESTORE_COMMAND = b"c", b"m"


@dataclass(frozen=True)
class LinkProfile:
    """Latency, rates and losses of a link."""

    #: Round-trip time in seconds.
    rtt: float = 0.040
    #: Bits per second, from the first host and to it.
    up: float = 20e6
    down: float = 100e6
    #: Share of packets lost in each direction, 0 to 1.
    loss: float = 0.01
    #: Seconds of packets that each direction buffers at most, as a modem does; further packets are dropped.
    buffer: float = 0.2
    seed: int = 1


class EmulatedLink:
    """A running emulated link."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def cut(self) -> None:
        """Drop all packets, without an error at either end."""
        self._send_command(_CUT_COMMAND)

    def restore(self) -> None:
        """Carry packets again."""
        self._send_command(_RESTORE_COMMAND)

    def _send_command(self, command: bytes) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(command)
        self._process.stdin.flush()
        assert self._process.stdout.read(1) == command, "the link's process has ended"


@contextmanager
def emulate_link(profile: LinkProfile, near: str, far: str) -> Iterator[EmulatedLink]:
    """Create two TUN devices in this process's network and carry packets between them while the context is open.

    near, far: names of the devices of the first and the second host
    """
    parameters = [str(getattr(profile, name)) for name in ("rtt", "up", "down", "loss", "buffer", "seed")]
    command = [sys.executable, "-m", "tests.network.emulated_link", near, far, *parameters]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout
    try:
        assert process.stdout.read(1) == _RESTORE_COMMAND, "the link did not come up"
        yield EmulatedLink(process)
    finally:
        process.kill()  # the kernel removes its devices
        process.communicate()


def has_tun_devices() -> bool:
    """Return whether this process may create TUN devices."""
    try:
        os.close(_open_device(""))  # the kernel chooses a name
    except OSError:
        return False
    return True


class _Direction:
    """One direction of a link: a rate limit, losses and a queue of packets in flight."""

    def __init__(self, target_device: int, profile: LinkProfile, rate: float, rng: random.Random) -> None:
        self._target_device, self._profile, self._rng = target_device, profile, rng
        self._bytes_per_second = rate / 8
        self._idle_at = 0.0  # when the last packet will have been sent
        self._in_flight: deque[tuple[float, bytes]] = deque()

    def enqueue(self, packet: bytes, now: float) -> None:
        """Queue a packet, unless the buffer is full or the packet is lost at random."""
        wait = max(self._idle_at - now, 0.0)
        if wait > self._profile.buffer:
            return
        self._idle_at = now + wait + len(packet) / self._bytes_per_second
        if self._rng.random() >= self._profile.loss:
            self._in_flight.append((self._idle_at + self._profile.rtt / 2, packet))

    def deliver(self, now: float) -> None:
        """Write the packets that have arrived by now to the device."""
        while self._in_flight and self._in_flight[0][0] <= now:
            _, packet = self._in_flight.popleft()
            with suppress(OSError):  # the device is down
                os.write(self._target_device, packet)

    def clear(self) -> None:
        self._in_flight.clear()

    @property
    def next_arrival(self) -> float:
        """Time at which the next packet arrives, infinity if none is in flight."""
        return self._in_flight[0][0] if self._in_flight else float("inf")


def _open_device(name: str) -> int:
    file = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_FLAGS))
    return file


def _carry_packets(near: str, far: str, profile: LinkProfile) -> None:
    """Carry packets and obey the commands on standard input until it is closed."""
    ends = _open_device(near), _open_device(far)
    rng = random.Random(profile.seed)
    directions = {
        ends[0]: _Direction(ends[1], profile, profile.up, random.Random(rng.random())),
        ends[1]: _Direction(ends[0], profile, profile.down, random.Random(rng.random())),
    }
    poll = select.poll()
    for file in (*ends, sys.stdin.fileno()):
        poll.register(file, select.POLLIN)
    os.write(sys.stdout.fileno(), _RESTORE_COMMAND)
    is_up = True
    while True:
        wait = min(direction.next_arrival for direction in directions.values()) - time.monotonic()
        ready = poll.poll(None if wait == float("inf") else max(wait, 0) * 1000)
        for file, event in ready:
            if direction := directions.get(file):
                for packet in _read_packets(file):
                    if is_up:
                        direction.enqueue(packet, time.monotonic())
            elif not (command := os.read(file, 1)) or not event & select.POLLIN:
                return
            else:
                is_up = command == _RESTORE_COMMAND
                for direction in directions.values():
                    direction.clear()
                os.write(sys.stdout.fileno(), command)
        for direction in directions.values():
            direction.deliver(time.monotonic())


def _read_packets(file: int) -> Iterator[bytes]:
    try:
        for _ in range(64):  # then the other end is read
            yield os.read(file, _READ_BYTES)
    except BlockingIOError:
        return
    except OSError:  # the device is down
        return


if __name__ == "__main__":
    *link, link_seed = sys.argv[3:]
    rtt, up, down, loss, buffer = map(float, link)
    _carry_packets(sys.argv[1], sys.argv[2], LinkProfile(rtt, up, down, loss, buffer, int(link_seed)))
