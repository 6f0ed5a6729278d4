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

TUN = Path("/dev/net/tun")

#: From linux/if_tun.h: name a device, for whole IP packets without a header.
_SET_INTERFACE, _IP_PACKETS = 0x400454CA, 0x0001 | 0x1000

#: Bytes that are read at once; the devices' packets have at most 1500.
_PACKET = 2048

_CUT, _MEND = b"c", b"m"


@dataclass(frozen=True)
class Line:
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


class Link:
    """The process that carries packets."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def cut(self) -> None:
        """Lose everything from now on, and tell nobody."""
        self._say(_CUT)

    def mend(self) -> None:
        """Carry packets again."""
        self._say(_MEND)

    def _say(self, word: bytes) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(word)
        self._process.stdin.flush()
        assert self._process.stdout.read(1) == word, "the link's process has ended"


@contextmanager
def carried(line: Line, near: str, far: str) -> Iterator[Link]:
    """Have a TUN device at each end, still in this process's network, and packets carried between them."""
    told = [str(getattr(line, name)) for name in ("rtt", "up", "down", "loss", "buffer", "seed")]
    command = [sys.executable, "-m", "tests.network.emulated_link", near, far, *told]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout
    try:
        assert process.stdout.read(1) == _MEND, "the link did not come up"
        yield Link(process)
    finally:
        process.kill()  # and its devices go with it
        process.communicate()


def tun_devices() -> bool:
    """Tell whether this machine lets us have TUN devices."""
    try:
        os.close(_device(""))  # the kernel finds a name
    except OSError:
        return False
    return True


class _Way:
    """One direction."""

    def __init__(self, to: int, line: Line, rate: float, chance: random.Random) -> None:
        self._to, self._line, self._chance = to, line, chance
        self._second = rate / 8
        self._free = 0.0  # when the last packet has left
        self._underway: deque[tuple[float, bytes]] = deque()

    def take(self, packet: bytes, now: float) -> None:
        """Take a packet, unless the buffer is full or chance loses it."""
        wait = max(self._free - now, 0.0)
        if wait > self._line.buffer:
            return
        self._free = now + wait + len(packet) / self._second
        if self._chance.random() >= self._line.loss:
            self._underway.append((self._free + self._line.rtt / 2, packet))

    def deliver(self, now: float) -> None:
        """Hand over what has arrived by now."""
        while self._underway and self._underway[0][0] <= now:
            _, packet = self._underway.popleft()
            with suppress(OSError):  # a device that is down takes nothing
                os.write(self._to, packet)

    def clear(self) -> None:
        self._underway.clear()

    @property
    def next(self) -> float:
        """When something arrives next."""
        return self._underway[0][0] if self._underway else float("inf")


def _device(name: str) -> int:
    file = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), _IP_PACKETS))
    return file


def _carry(near: str, far: str, line: Line) -> None:
    """Carry packets until nobody listens any longer."""
    ends = _device(near), _device(far)
    chance = random.Random(line.seed)
    ways = {
        ends[0]: _Way(ends[1], line, line.up, random.Random(chance.random())),
        ends[1]: _Way(ends[0], line, line.down, random.Random(chance.random())),
    }
    poll = select.poll()
    for file in (*ends, sys.stdin.fileno()):
        poll.register(file, select.POLLIN)
    os.write(sys.stdout.fileno(), _MEND)
    whole = True
    while True:
        wait = min(way.next for way in ways.values()) - time.monotonic()
        ready = poll.poll(None if wait == float("inf") else max(wait, 0) * 1000)
        for file, what in ready:
            if way := ways.get(file):
                for packet in _packets(file):
                    if whole:
                        way.take(packet, time.monotonic())
            elif not (word := os.read(file, 1)) or not what & select.POLLIN:
                return
            else:
                whole = word == _MEND
                for way in ways.values():
                    way.clear()
                os.write(sys.stdout.fileno(), word)
        for way in ways.values():
            way.deliver(time.monotonic())


def _packets(file: int) -> Iterator[bytes]:
    try:
        for _ in range(64):  # then the other side has its turn
            yield os.read(file, _PACKET)
    except BlockingIOError:
        return
    except OSError:  # the device is down
        return


if __name__ == "__main__":
    _carry(sys.argv[1], sys.argv[2], Line(*map(float, sys.argv[3:])))
