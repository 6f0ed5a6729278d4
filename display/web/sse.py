"""A viewer: one browser's share of the feed, as Server-Sent Events (HTML standard, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from display.state.live_state import Change

#: Messages that wait for a slow browser. One that is further behind is cut off; it comes back and gets a snapshot.
MAX_QUEUED_MESSAGES = 256

#: Seconds between signs of life; the browser gives a silent connection up after three of them.
KEEPALIVE_SECONDS = 10.0

#: Milliseconds after which a browser connects again.
RECONNECT_MILLISECONDS = 1000


@dataclass(frozen=True)
class SseMessage:
    """One Server-Sent Event, encoded once for all viewers."""

    data: bytes

    @classmethod
    def from_change(cls, change: Change, event_id: str = "") -> "SseMessage":
        """Encode a change; `event_id` is that of the stream entry which caused it."""
        head = f"id: {event_id}\n" if event_id else ""
        return cls(f"{head}event: {change.kind}\ndata: {json.dumps(change.body)}\n\n".encode())


_KEEPALIVE = SseMessage.from_change(Change("heartbeat", {}))


class Viewer:
    """A bounded queue of messages. Offering never waits: a slow viewer delays nobody."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[SseMessage | None] = asyncio.Queue(MAX_QUEUED_MESSAGES)
        self._is_disconnected = False

    def offer(self, message: SseMessage) -> bool:
        """Add a message; False where the viewer was too far behind and is cut off."""
        if not self._is_disconnected and self._queue.full():
            self.disconnect()
        if not self._is_disconnected:
            self._queue.put_nowait(message)
        return not self._is_disconnected

    def disconnect(self) -> None:
        """End the viewer's stream after the message that is being sent."""
        self._is_disconnected = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the messages as they come, and a heartbeat if there are none, until the viewer is cut off."""
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
