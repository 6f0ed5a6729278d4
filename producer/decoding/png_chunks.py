"""PNG chunks: read them without Pillow, and leave out those that say nothing about pixels."""

from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def is_png(data: bytes) -> bool:
    """Return whether a file begins as a PNG does."""
    return data.startswith(SIGNATURE)


def iterate_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and content of the chunks of a PNG, up to the first that is cut."""
    view, start = memoryview(data), len(SIGNATURE)
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(view[start : start + 4])
        if end > len(data):
            return
        yield bytes(view[start + 4 : start + 8]), view[start + 8 : end - 4]
        start = end
