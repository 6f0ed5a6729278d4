"""Export: stream dreams as one zip file, built while it is sent."""

import io
import time
import zipfile
from collections.abc import Iterable, Iterator

from display.state.dream_index import Dream
from shared.storage.object_names import sidecar_name
from shared.storage.store import Store

#: Smallest number of bytes that is yielded at a time, apart from the last.
_CHUNK_BYTES = 256 * 1024


class ExportCut(Exception):
    """The store failed during an export, as the log says: the connection is cut, so that the download fails."""


def stream_zip(store: Store, dreams: Iterable[Dream]) -> Iterator[bytes]:
    """Yield a zip file of the dreams, each with its photo and sidecar, holding one dream's files in memory at a time.

    Objects that are no longer in the store are left out. Raises StoreError if the store is unavailable; the zip file is
    then incomplete.
    """
    buffer = _ZipBuffer()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # JPEGs do not compress further
        for dream in dreams:
            folder_and_time = time.strftime("%Y-%m-%d/%H%M%S", time.localtime(dream.completed_at))
            stem = f"{folder_and_time}-{dream.recipe}-{dream.job_id[:8]}"
            for name, suffix in (
                (dream.dream, ".jpg"),
                (dream.photo, "-photo.jpg"),
                (sidecar_name(dream.job_id), ".json"),
            ):
                data = store.get(name)
                if data is not None:
                    archive.writestr(zipfile.ZipInfo(stem + suffix, time.localtime(dream.completed_at)[:6]), data)
            if len(buffer.data) >= _CHUNK_BYTES:
                yield buffer.drain()
    yield buffer.drain()


class _ZipBuffer(io.RawIOBase):
    """A write-only buffer without seek: zipfile then writes each file's sizes after its data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        self.data += data
        return len(data)

    def drain(self) -> bytes:
        """Return the bytes written since the last call."""
        data, self.data = bytes(self.data), bytearray()
        return data
