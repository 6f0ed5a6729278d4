"""A viewer: one browser's share of the feed, as Server-Sent Events (HTML standard, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from display.state.live_state import Change

#: Messages that wait for a slow browser. One that is further behind is cut off; it comes back and gets a snapshot.
BACKLOG = 256

#: Seconds between signs of life; the browser gives a silent connection up after three of them.
PULSE = 10.0

#: Milliseconds after which a browser connects again.
RETRY = 1000


@dataclass(frozen=True)
class Message:
    """One Server-Sent Event, encoded once for all viewers."""

    data: bytes

    @classmethod
    def of(cls, change: Change, event_id: str = "") -> "Message":
        """Encode a change; `event_id` is that of the stream entry which caused it."""
        head = f"id: {event_id}\n" if event_id else ""
        return cls(f"{head}event: {change.kind}\ndata: {json.dumps(change.body)}\n\n".encode())


_PULSE = Message.of(Change("pulse", {}))


class Viewer:
    """A bounded queue of messages. Offering never waits: a slow viewer delays nobody."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(BACKLOG)
        self._cut = False

    def offer(self, message: Message) -> bool:
        """Add a message; False where the viewer was too far behind and is cut off."""
        if not self._cut and self._queue.full():
            self.cut()
        if not self._cut:
            self._queue.put_nowait(message)
        return not self._cut

    def cut(self) -> None:
        """End the viewer's stream after the message that is being sent."""
        self._cut = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the messages as they come, and a pulse where there are none, until the viewer is cut off."""
        yield f"retry: {RETRY}\n\n".encode()
        while True:
            try:
                async with asyncio.timeout(PULSE):
                    message = await self._queue.get()
            except TimeoutError:
                message = _PULSE
            if message is None:
                return
            yield message.data
