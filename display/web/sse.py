"""Server-Sent Events: messages, and the queue of one connected browser (HTML standard, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from display.state.live_state import Change

#: Queued messages per browser. A browser that falls further behind is disconnected; it reconnects and gets a snapshot.
MAX_QUEUED_MESSAGES = 256

#: Seconds of silence after which a keepalive is sent; the browser reconnects after three intervals without a message.
KEEPALIVE_SECONDS = 10.0

#: Milliseconds before a browser reconnects.
RECONNECT_MILLISECONDS = 1000


@dataclass(frozen=True)
class SseMessage:
    """A Server-Sent Event, encoded once for all viewers."""

    data: bytes

    @classmethod
    def from_change(cls, change: Change, event_id: str = "") -> "SseMessage":
        """Encode a change. event_id: id of the stream entry that caused it, "" for none."""
        head = f"id: {event_id}\n" if event_id else ""
        return cls(f"{head}event: {change.kind}\ndata: {json.dumps(change.body)}\n\n".encode())


_KEEPALIVE = SseMessage.from_change(Change("heartbeat", {}))


class Viewer:
    """The bounded message queue of one browser. Offering never blocks, so a slow viewer does not delay others."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[SseMessage | None] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._is_disconnected = False

    def offer(self, message: SseMessage) -> bool:
        """Queue a message. Return False if the viewer is disconnected, which a full queue causes."""
        if not self._is_disconnected and self._queue.full():
            self.disconnect()
        if not self._is_disconnected:
            self._queue.put_nowait(message)
        return not self._is_disconnected

    def disconnect(self) -> None:
        """End the viewer's stream after the message that is being sent, and drop the queued ones."""
        self._is_disconnected = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield encoded messages as they arrive, and heartbeats in between, until the viewer is disconnected."""
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        while True:
            try:
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    message = await self._queue.get()
            except TimeoutError:
                message = _KEEPALIVE
            if message is None:
                return
            yield message.data
