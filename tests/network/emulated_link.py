"""A far link between two hosts: whole IP packets, carried late, at a rate, with losses, until somebody cuts it.

The kernel's own `tc netem` would do, and many kernels come without it; this needs TUN devices only, is the same
everywhere, and loses the same packets for the same seed. Both ends are the kernel's real TCP, with its own
retransmissions. One process carries the packets, so that a busy test does not delay them.
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

#: From linux/if_tun.h: name a device, for whole IP packets without a header.
_TUNSETIFF, _TUN_FLAGS = 0x400454CA, 0x0001 | 0x1000

#: Bytes that are read at once; the devices' packets have at most 1500.
_READ_BYTES = 2048

_CUT_COMMAND, _RESTORE_COMMAND = b"c", b"m"


@dataclass(frozen=True)
class LinkProfile:
    """What a link is like."""

    #: Seconds there and back.
    rtt: float = 0.040
    #: Bits a second, from the first host and to it.
    up: float = 20e6
    down: float = 100e6
    #: The share of packets that is lost, each way.
    loss: float = 0.01
    #: Seconds of packets that wait at most before the slower side, as in a modem; what comes then is dropped.
    buffer: float = 0.2
    seed: int = 1


class EmulatedLink:
    """The process that carries packets."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def cut(self) -> None:
        """Lose everything from now on, and tell nobody."""
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
    """Have a TUN device at each end, still in this process's network, and packets carried between them."""
    told = [str(getattr(profile, name)) for name in ("rtt", "up", "down", "loss", "buffer", "seed")]
    command = [sys.executable, "-m", "tests.network.emulated_link", near, far, *told]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout
    try:
        assert process.stdout.read(1) == _RESTORE_COMMAND, "the link did not come up"
        yield EmulatedLink(process)
    finally:
        process.kill()  # and its devices go with it
        process.communicate()


def has_tun_devices() -> bool:
    """Tell whether this machine lets us have TUN devices."""
    try:
        os.close(_open_device(""))  # the kernel finds a name
    except OSError:
        return False
    return True


class _Direction:
    """One direction."""

    def __init__(self, target_device: int, profile: LinkProfile, rate: float, rng: random.Random) -> None:
        self._target_device, self._profile, self._rng = target_device, profile, rng
        self._bytes_per_second = rate / 8
        self._idle_at = 0.0  # when the last packet has left
        self._in_flight: deque[tuple[float, bytes]] = deque()

    def enqueue(self, packet: bytes, now: float) -> None:
        """Take a packet, unless the buffer is full or chance loses it."""
        wait = max(self._idle_at - now, 0.0)
        if wait > self._profile.buffer:
            return
        self._idle_at = now + wait + len(packet) / self._bytes_per_second
        if self._rng.random() >= self._profile.loss:
            self._in_flight.append((self._idle_at + self._profile.rtt / 2, packet))

    def deliver(self, now: float) -> None:
        """Hand over what has arrived by now."""
        while self._in_flight and self._in_flight[0][0] <= now:
            _, packet = self._in_flight.popleft()
            with suppress(OSError):  # a device that is down takes nothing
                os.write(self._target_device, packet)

    def clear(self) -> None:
        self._in_flight.clear()

    @property
    def next_arrival(self) -> float:
        """When something arrives next."""
        return self._in_flight[0][0] if self._in_flight else float("inf")


def _open_device(name: str) -> int:
    file = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_FLAGS))
    return file


def _carry_packets(near: str, far: str, profile: LinkProfile) -> None:
    """Carry packets until nobody listens any longer."""
    ends = _open_device(near), _open_device(far)
    chance = random.Random(profile.seed)
    ways = {
        ends[0]: _Direction(ends[1], profile, profile.up, random.Random(chance.random())),
        ends[1]: _Direction(ends[0], profile, profile.down, random.Random(chance.random())),
    }
    poll = select.poll()
    for file in (*ends, sys.stdin.fileno()):
        poll.register(file, select.POLLIN)
    os.write(sys.stdout.fileno(), _RESTORE_COMMAND)
    whole = True
    while True:
        wait = min(way.next_arrival for way in ways.values()) - time.monotonic()
        ready = poll.poll(None if wait == float("inf") else max(wait, 0) * 1000)
        for file, what in ready:
            if way := ways.get(file):
                for packet in _read_packets(file):
                    if whole:
                        way.enqueue(packet, time.monotonic())
            elif not (word := os.read(file, 1)) or not what & select.POLLIN:
                return
            else:
                whole = word == _RESTORE_COMMAND
                for way in ways.values():
                    way.clear()
                os.write(sys.stdout.fileno(), word)
        for way in ways.values():
            way.deliver(time.monotonic())


def _read_packets(file: int) -> Iterator[bytes]:
    try:
        for _ in range(64):  # then the other side has its turn
            yield os.read(file, _READ_BYTES)
    except BlockingIOError:
        return
    except OSError:  # the device is down
        return


if __name__ == "__main__":
    _carry_packets(sys.argv[1], sys.argv[2], LinkProfile(*map(float, sys.argv[3:])))
