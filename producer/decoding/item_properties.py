"""Items of HEIC, HEIF and AVIF: what the container says about its primary picture.

ISO/IEC 14496-12 (`pitm`, `iinf`, `iref`) and ISO/IEC 23008-12 (`iprp`, `ipco`, `ipma`). pillow-heif reports neither a
color description beside an ICC profile nor the tiles; for AVIF, Pillow reports no color description at all, and not
whether `irot` and `imir` are there.
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
        boxes = _read_meta_boxes(data)
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


def read_tile_ids(data: bytes) -> list[int]:
    """Return the ids of the items in HEVC that make up the primary picture: itself, or the tiles of a grid, row by row.

    Returns [] if it is of another kind, or the container is broken.
    """
    try:
        boxes = _read_meta_boxes(data)
        primary_id = int.from_bytes(boxes[b"pitm"][4:])
        kinds = _read_item_kinds(boxes[b"iinf"])
        ids = _list_sources(boxes[b"iref"], primary_id) if kinds[primary_id] == b"grid" else [primary_id]
        return ids if all(kinds[item_id] == b"hvc1" for item_id in ids) else []
    except (IndexError, KeyError, StopIteration):
        return []


def _read_meta_boxes(data: bytes) -> dict[bytes, bytes]:
    """Return type and content of the boxes that describe the items. Raises StopIteration if there are none."""
    meta = next(data[start:end] for kind, start, end in iterate_boxes(data) if kind == b"meta")
    return dict(_read_boxes(meta[4:]))


def _read_item_kinds(content: bytes) -> dict[int, bytes]:
    """Return the type of each item, such as `grid`, from an `iinf` box. Raises IndexError if it is cut."""
    kinds = {}
    for _, entry in _read_boxes(content[6 if content[0] == 0 else 8 :]):
        id_end = 6 if entry[0] == 2 else 8
        kinds[int.from_bytes(entry[4:id_end])] = entry[id_end + 2 : id_end + 6]
    return kinds


def _list_sources(content: bytes, item_id: int) -> list[int]:
    """Return the ids of the items that an item is derived from (`dimg`), from an `iref` box."""
    id_size = 2 if content[0] == 0 else 4
    for kind, reference in _read_boxes(content[4:]):
        if kind == b"dimg" and int.from_bytes(reference[:id_size]) == item_id:
            ids = reference[id_size + 2 :]
            return [int.from_bytes(ids[start : start + id_size]) for start in range(0, len(ids), id_size)]
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
