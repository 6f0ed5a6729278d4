"""The connected browsers: each gets a snapshot first, then every message that is broadcast."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from display.web.sse import SseMessage, Viewer

#: Seconds that a new viewer waits for past dreams, so that a restarted wall does not flash its empty state.
_INITIAL_SNAPSHOT_TIMEOUT_SECONDS = 3.0


class Viewers:
    """All viewers of this process. One that is too slow is dropped; it reconnects and gets a new snapshot."""

    def __init__(self, make_snapshot: Callable[[], SseMessage], sources_tried: Sequence[asyncio.Event]) -> None:
        """sources_tried: set as soon as broker and store, respectively, have been tried once."""
        self._make_snapshot = make_snapshot
        self._sources_tried = sources_tried
        self._viewers: set[Viewer] = set()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Viewer]:
        """Add a viewer until the context ends. Its first message is a snapshot."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_INITIAL_SNAPSHOT_TIMEOUT_SECONDS):
                for tried in self._sources_tried:
                    await tried.wait()
        viewer = Viewer()
        viewer.offer(self._make_snapshot())
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def broadcast(self, message: SseMessage) -> None:
        """Send a message to all viewers, and drop those that are too far behind."""
        self._viewers = {viewer for viewer in self._viewers if viewer.offer(message)}

    def broadcast_snapshot(self) -> None:
        """Send a new snapshot to all viewers."""
        self.broadcast(self._make_snapshot())

    def disconnect(self) -> None:
        """End the streams of all viewers."""
        for viewer in self._viewers:
            viewer.disconnect()
