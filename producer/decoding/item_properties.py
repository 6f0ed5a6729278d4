"""Item properties of HEIC, HEIF and AVIF: what the container says about its primary picture.

ISO/IEC 14496-12 (`pitm`) and ISO/IEC 23008-12 (`iprp`, `ipco`, `ipma`). pillow-heif reports neither a color
description beside an ICC profile nor, for AVIF, does Pillow report any, or whether `irot` and `imir` are there.
"""

from typing import NamedTuple

from producer.decoding.boxes import iterate_boxes


class ItemProperty(NamedTuple):
    """A property of a picture: its type, such as `irot`, and the content of its box."""

    kind: bytes
    content: bytes


def read_item_properties(data: bytes) -> list[ItemProperty]:
    """Return the properties of the primary picture in the order of the file; [] if the container is broken."""
    try:
        meta = next(data[start:end] for kind, start, end in iterate_boxes(data) if kind == b"meta")
        boxes = dict(_read_boxes(meta[4:]))
        primary_id = int.from_bytes(boxes[b"pitm"][4:])
        property_boxes = _read_boxes(boxes[b"iprp"])
        properties = _read_boxes(next(content for kind, content in property_boxes if kind == b"ipco"))
        return [
            ItemProperty(*properties[number - 1])
            for kind, content in property_boxes
            if kind == b"ipma"
            for number in _list_associations(content, primary_id)
            if number
        ]
    except (IndexError, KeyError, StopIteration):
        return []


def _read_boxes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and content of the boxes in `data`."""
    return [(kind, data[start:end]) for kind, start, end in iterate_boxes(data)]


def _list_associations(content: bytes, item_id: int) -> list[int]:
    """Return the numbers, from 1, of an item's properties in an `ipma` box. Raises IndexError if it is cut."""
    id_size = 2 if content[0] == 0 else 4
    number_size = 2 if content[3] & 1 else 1
    start = 8
    for _ in range(int.from_bytes(content[4:8])):
        count = content[start + id_size]
        numbers_start = start + id_size + 1
        numbers_end = numbers_start + count * number_size
        if int.from_bytes(content[start : start + id_size]) == item_id:
            mask = (1 << (8 * number_size - 1)) - 1  # The first bit says whether the property is essential.
            return [
                int.from_bytes(content[position : position + number_size]) & mask
                for position in range(numbers_start, numbers_end, number_size)
            ]
        start = numbers_end
    return []
