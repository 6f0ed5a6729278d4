"""What can be done to the bytes of a picture: by chance, and by who knows its format."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

Mutation = Callable[[bytes, random.Random], bytes]

#: Boxes of ISO/IEC 14496-12 that hold boxes, with the bytes in front of these.
CONTAINER_BOXES = {
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
EXTREME_NUMBERS = (0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x00FFFFFF)


class Box(NamedTuple):
    """Where a box is: its first byte, the one behind it, its kind."""

    start: int
    end: int
    kind: bytes


def iterate_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes of a HEIC or AVIF, those inside others too, as long as their sizes make sense."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        if size < 8 or start + size > end:
            return
        yield Box(start, start + size, kind)
        if kind in CONTAINER_BOXES:
            yield from iterate_boxes(data, start + 8 + CONTAINER_BOXES[kind], start + size)
        start += size


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """Flip some bits, half of the times near the beginning."""
    changed = bytearray(data)
    reach = len(data) if rng.random() < 0.5 else min(len(data), 600)
    for _ in range(rng.choice((1, 2, 8, 40))):
        changed[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """End too early."""
    return data[: rng.randrange(1, len(data))]


def scramble_slice(data: bytes, rng: random.Random) -> bytes:
    """Blank, repeat, remove or swap a piece."""
    a, b = sorted(rng.sample(range(len(data) + 1), 2))
    piece = data[a:b]
    blank, twice = bytes(len(piece)), piece * 2
    return data[:a] + rng.choice((blank, twice, b"", rng.randbytes(len(piece)), piece[::-1])) + data[b:]


def insert_extreme_number(data: bytes, rng: random.Random) -> bytes:
    """Put an absurd number where, near the beginning, another may be."""
    at = rng.randrange(4, max(5, min(len(data), 800) - 4))
    number = struct.pack(rng.choice((">I", "<I")), rng.choice(EXTREME_NUMBERS))
    return data[:at] + number + data[at + 4 :]


def corrupt_box_size(data: bytes, rng: random.Random) -> bytes:
    """Let a box say that it is larger or smaller than it is."""
    at = rng.choice(list(iterate_boxes(data))).start
    return data[:at] + rng.choice(EXTREME_NUMBERS).to_bytes(4) + data[at + 4 :]


def remove_box(data: bytes, rng: random.Random) -> bytes:
    """Take a box away, or let it be of another kind: no iloc, no ipco."""
    box = rng.choice(list(iterate_boxes(data)))
    if rng.random() < 0.5:
        return data[: box.start + 4] + b"free" + data[box.start + 8 :]
    return data[: box.start] + data[box.end :]


def replace_box(data: bytes, rng: random.Random) -> bytes:
    """Put one box where another is."""
    one, other = (rng.choice(list(iterate_boxes(data))) for _ in range(2))
    return data[: one.start] + data[other.start : other.end] + data[one.end :]


def nest_box(data: bytes, rng: random.Random) -> bytes:
    """Put a box into boxes of its own kind, deeper than a stack is."""
    box = rng.choice([box for box in iterate_boxes(data) if box.kind in CONTAINER_BOXES] or list(iterate_boxes(data)))
    inner, front = data[box.start : box.end], bytes(CONTAINER_BOXES.get(box.kind, 0))
    for _ in range(rng.choice((3, 60, 3000))):
        inner = (8 + len(front) + len(inner)).to_bytes(4) + box.kind + front + inner
    return data[: box.start] + inner + data[box.end :]


def corrupt_box_content(data: bytes, rng: random.Random) -> bytes:
    """Put an absurd number into a box: counts, offsets, sizes of pictures."""
    box = rng.choice(list(iterate_boxes(data)))
    if box.end - box.start < 16:
        return flip_bits(data, rng)
    at = rng.randrange(box.start + 8, box.end - 4)
    return data[:at] + rng.choice(EXTREME_NUMBERS).to_bytes(4) + data[at + 4 :]


def corrupt_png_chunk(data: bytes, rng: random.Random) -> bytes:
    """Change a chunk of a PNG and let its sum be right, so that it is looked into."""
    places, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        places.append((at, size))
        at += 12 + size
    at, size = rng.choice(places)
    kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
    body = (
        rng.choice((flip_bits, scramble_slice, insert_extreme_number))(body, rng) if len(body) > 4 else rng.randbytes(9)
    )
    return data[:at] + make_png_chunk(kind, body) + data[at + 12 + size :]


def make_png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG."""
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


GENERIC_MUTATIONS: dict[str, Mutation] = {
    "flipped bits": flip_bits,
    "cut off": truncate,
    "stirred": scramble_slice,
    "absurd numbers": insert_extreme_number,
}

BOX_MUTATIONS: dict[str, Mutation] = {
    "box sizes": corrupt_box_size,
    "boxes missing": remove_box,
    "boxes swapped": replace_box,
    "boxes nested": nest_box,
    "boxes filled": corrupt_box_content,
}

PNG_MUTATIONS: dict[str, Mutation] = {"chunks": corrupt_png_chunk}


def list_mutations(data: bytes) -> dict[str, Mutation]:
    """Return what can be done to a picture, by the name of it."""
    if data[4:8] == b"ftyp":
        return GENERIC_MUTATIONS | BOX_MUTATIONS
    return GENERIC_MUTATIONS | PNG_MUTATIONS if data[:4] == b"\x89PNG" else GENERIC_MUTATIONS
