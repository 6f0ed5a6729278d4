"""Mutations of the bytes of a picture: random ones, and ones that know its format."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

Mutation = Callable[[bytes, random.Random], bytes]

#: Boxes of ISO/IEC 14496-12 that contain boxes, and the number of bytes before the first inner box.
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

#: Numbers at the limits of 32 bits: adding, multiplying or allocating with them unchecked fails.
EXTREME_NUMBERS = (0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFF00, 0x00FFFFFF)


class Box(NamedTuple):
    """A box: offset of its first byte, offset after its last byte, and its four-byte type."""

    start: int
    end: int
    kind: bytes


def iterate_boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes of a HEIC or AVIF file, nested ones included; stop at the first impossible size."""
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
    """Flip some bits, in half of the calls only in the first 600 bytes."""
    mutated = bytearray(data)
    limit = len(data) if rng.random() < 0.5 else min(len(data), 600)
    for _ in range(rng.choice((1, 2, 8, 40))):
        mutated[rng.randrange(limit)] ^= 1 << rng.randrange(8)
    return bytes(mutated)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Cut the file off at a random place."""
    return data[: rng.randrange(1, len(data))]


def scramble_slice(data: bytes, rng: random.Random) -> bytes:
    """Blank, repeat, remove, randomize or reverse a slice."""
    start, end = sorted(rng.sample(range(len(data) + 1), 2))
    selected = data[start:end]
    blank, repeated = bytes(len(selected)), selected * 2
    return data[:start] + rng.choice((blank, repeated, b"", rng.randbytes(len(selected)), selected[::-1])) + data[end:]


def insert_extreme_number(data: bytes, rng: random.Random) -> bytes:
    """Overwrite four of the first 800 bytes with an extreme number of either byte order."""
    offset = rng.randrange(4, max(5, min(len(data), 800) - 4))
    number = struct.pack(rng.choice((">I", "<I")), rng.choice(EXTREME_NUMBERS))
    return data[:offset] + number + data[offset + 4 :]


def corrupt_box_size(data: bytes, rng: random.Random) -> bytes:
    """Overwrite the size of a box with an extreme number."""
    offset = rng.choice(list(iterate_boxes(data))).start
    return data[:offset] + rng.choice(EXTREME_NUMBERS).to_bytes(4) + data[offset + 4 :]


def remove_box(data: bytes, rng: random.Random) -> bytes:
    """Remove a box, or change its type to `free`: the file lacks an iloc or ipco, for example."""
    box = rng.choice(list(iterate_boxes(data)))
    if rng.random() < 0.5:
        return data[: box.start + 4] + b"free" + data[box.start + 8 :]
    return data[: box.start] + data[box.end :]


def replace_box(data: bytes, rng: random.Random) -> bytes:
    """Replace one box by a copy of another."""
    target, source = (rng.choice(list(iterate_boxes(data))) for _ in range(2))
    return data[: target.start] + data[source.start : source.end] + data[target.end :]


def nest_box(data: bytes, rng: random.Random) -> bytes:
    """Nest a box in up to 3000 boxes of its own type: deeper than a recursive parser's stack."""
    box = rng.choice([box for box in iterate_boxes(data) if box.kind in CONTAINER_BOXES] or list(iterate_boxes(data)))
    nested, prefix = data[box.start : box.end], bytes(CONTAINER_BOXES.get(box.kind, 0))
    for _ in range(rng.choice((3, 60, 3000))):
        nested = (8 + len(prefix) + len(nested)).to_bytes(4) + box.kind + prefix + nested
    return data[: box.start] + nested + data[box.end :]


def corrupt_box_content(data: bytes, rng: random.Random) -> bytes:
    """Overwrite four bytes of a box's content with an extreme number: counts, offsets, picture sizes."""
    box = rng.choice(list(iterate_boxes(data)))
    if box.end - box.start < 16:
        return flip_bits(data, rng)
    offset = rng.randrange(box.start + 8, box.end - 4)
    return data[:offset] + rng.choice(EXTREME_NUMBERS).to_bytes(4) + data[offset + 4 :]


def corrupt_png_chunk(data: bytes, rng: random.Random) -> bytes:
    """Mutate the content of a PNG chunk and correct its checksum, so that decoders parse it."""
    chunks, offset = [], 8
    while offset + 12 <= len(data):
        size = int.from_bytes(data[offset : offset + 4])
        chunks.append((offset, size))
        offset += 12 + size
    offset, size = rng.choice(chunks)
    kind, body = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + size]
    body = (
        rng.choice((flip_bits, scramble_slice, insert_extreme_number))(body, rng) if len(body) > 4 else rng.randbytes(9)
    )
    return data[:offset] + make_png_chunk(kind, body) + data[offset + 12 + size :]


def make_png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk: length, type, content and checksum."""
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
    """Return the mutations that apply to a picture's format, by name."""
    if data[4:8] == b"ftyp":
        return GENERIC_MUTATIONS | BOX_MUTATIONS
    return GENERIC_MUTATIONS | PNG_MUTATIONS if data[:4] == b"\x89PNG" else GENERIC_MUTATIONS
