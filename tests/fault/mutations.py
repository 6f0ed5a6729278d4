"""What can be done to the bytes of a picture: by chance, and by who knows its format."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

Mutation = Callable[[bytes, random.Random], bytes]

#: Boxes of ISO/IEC 14496-12 that hold boxes, with the bytes in front of these.
CONTAINERS = {
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"iref": 4,
}

#: Numbers that programs add, multiply or allocate with, and should not.
ABSURD = (0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x00FFFFFF)


class Box(NamedTuple):
    """Where a box is: its first byte, the one behind it, its kind."""

    start: int
    end: int
    kind: bytes


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes of a HEIC or AVIF, those inside others too, as long as their sizes make sense."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        if size < 8 or start + size > end:
            return
        yield Box(start, start + size, kind)
        if kind in CONTAINERS:
            yield from boxes(data, start + 8 + CONTAINERS[kind], start + size)
        start += size


def flip(data: bytes, chance: random.Random) -> bytes:
    """Flip some bits, half of the times near the beginning."""
    changed = bytearray(data)
    reach = len(data) if chance.random() < 0.5 else min(len(data), 600)
    for _ in range(chance.choice((1, 2, 8, 40))):
        changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    """End too early."""
    return data[: chance.randrange(1, len(data))]


def stir(data: bytes, chance: random.Random) -> bytes:
    """Blank, repeat, remove or swap a piece."""
    a, b = sorted(chance.sample(range(len(data) + 1), 2))
    piece = data[a:b]
    blank, twice = bytes(len(piece)), piece * 2
    return data[:a] + chance.choice((blank, twice, b"", chance.randbytes(len(piece)), piece[::-1])) + data[b:]


def absurd(data: bytes, chance: random.Random) -> bytes:
    """Put an absurd number where, near the beginning, another may be."""
    at = chance.randrange(4, max(5, min(len(data), 800) - 4))
    number = struct.pack(chance.choice((">I", "<I")), chance.choice(ABSURD))
    return data[:at] + number + data[at + 4 :]


def box_size(data: bytes, chance: random.Random) -> bytes:
    """Let a box say that it is larger or smaller than it is."""
    at = chance.choice(list(boxes(data))).start
    return data[:at] + chance.choice(ABSURD).to_bytes(4) + data[at + 4 :]


def box_without(data: bytes, chance: random.Random) -> bytes:
    """Take a box away, or let it be of another kind: no iloc, no ipco."""
    box = chance.choice(list(boxes(data)))
    if chance.random() < 0.5:
        return data[: box.start + 4] + b"free" + data[box.start + 8 :]
    return data[: box.start] + data[box.end :]


def box_swapped(data: bytes, chance: random.Random) -> bytes:
    """Put one box where another is."""
    one, other = (chance.choice(list(boxes(data))) for _ in range(2))
    return data[: one.start] + data[other.start : other.end] + data[one.end :]


def box_nested(data: bytes, chance: random.Random) -> bytes:
    """Put a box into boxes of its own kind, deeper than a stack is."""
    box = chance.choice([box for box in boxes(data) if box.kind in CONTAINERS] or list(boxes(data)))
    inner, front = data[box.start : box.end], bytes(CONTAINERS.get(box.kind, 0))
    for _ in range(chance.choice((3, 60, 3000))):
        inner = (8 + len(front) + len(inner)).to_bytes(4) + box.kind + front + inner
    return data[: box.start] + inner + data[box.end :]


def box_filled(data: bytes, chance: random.Random) -> bytes:
    """Put an absurd number into a box: counts, offsets, sizes of pictures."""
    box = chance.choice(list(boxes(data)))
    if box.end - box.start < 16:
        return flip(data, chance)
    at = chance.randrange(box.start + 8, box.end - 4)
    return data[:at] + chance.choice(ABSURD).to_bytes(4) + data[at + 4 :]


def chunk(data: bytes, chance: random.Random) -> bytes:
    """Change a chunk of a PNG and let its sum be right, so that it is looked into."""
    places, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        places.append((at, size))
        at += 12 + size
    at, size = chance.choice(places)
    kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
    body = chance.choice((flip, stir, absurd))(body, chance) if len(body) > 4 else chance.randbytes(9)
    return data[:at] + png_chunk(kind, body) + data[at + 12 + size :]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


ANY: dict[str, Mutation] = {"flipped bits": flip, "cut off": cut, "stirred": stir, "absurd numbers": absurd}

BOXES: dict[str, Mutation] = {
    "box sizes": box_size,
    "boxes missing": box_without,
    "boxes swapped": box_swapped,
    "boxes nested": box_nested,
    "boxes filled": box_filled,
}

CHUNKS: dict[str, Mutation] = {"chunks": chunk}


def mutations(data: bytes) -> dict[str, Mutation]:
    """Return what can be done to a picture, by the name of it."""
    if data[4:8] == b"ftyp":
        return ANY | BOXES
    return ANY | CHUNKS if data[:4] == b"\x89PNG" else ANY
