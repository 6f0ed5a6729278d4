"""PNG chunks: read them, as Pillow leaves some of them out."""

import zlib
from collections.abc import Iterator

#: Bytes of an ICC profile, at most; the largest ones, for print, have some megabytes.
MAX_PROFILE_BYTES = 16_000_000

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


def read_icc_profile(data: bytes) -> bytes | None:
    """Return the ICC profile of a PNG; None if there is none, or if it is broken or too large."""
    for kind, content in iterate_chunks(data):
        if kind == b"iCCP":
            decompressor = zlib.decompressobj()
            try:
                profile = decompressor.decompress(bytes(content).partition(b"\0")[2][1:], MAX_PROFILE_BYTES)
            except zlib.error:
                return None
            return profile if decompressor.eof else None
        if kind == b"IDAT":
            break
    return None
