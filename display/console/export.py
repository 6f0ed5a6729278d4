"""The export: dreams as one zip, written while it is sent."""

import io
import time
import zipfile
from collections.abc import Iterable, Iterator

from display.state.dream_index import Dream
from shared.storage.object_names import sidecar_name
from shared.storage.store import Store

#: Bytes that are sent at a time.
_CHUNK_BYTES = 256 * 1024


def stream_zip(store: Store, dreams: Iterable[Dream]) -> Iterator[bytes]:
    """Yield a zip of the dreams, each with its photo and its sidecar, in the memory of one picture.

    What the store has lost meanwhile is left out. Raises StoreError where the store is away: the zip breaks off.
    """
    sink = _ZipBuffer()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # JPEGs do not get smaller
        for dream in dreams:
            when = time.strftime("%Y-%m-%d/%H%M%S", time.localtime(dream.completed_at))
            stem = f"{when}-{dream.recipe}-{dream.job_id[:8]}"
            for name, ending in (
                (dream.dream, ".jpg"),
                (dream.photo, "-photo.jpg"),
                (sidecar_name(dream.job_id), ".json"),
            ):
                data = store.get(name)
                if data is not None:
                    archive.writestr(zipfile.ZipInfo(stem + ending, time.localtime(dream.completed_at)[:6]), data)
            if len(sink.data) >= _CHUNK_BYTES:
                yield sink.drain()
    yield sink.drain()


class _ZipBuffer(io.RawIOBase):
    """What a zip is written to: it cannot seek, so the zip has its sizes behind each file."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self.data += data
        return len(data)

    def drain(self) -> bytes:
        """Return what was written since the last call."""
        data, self.data = bytes(self.data), bytearray()
        return data
