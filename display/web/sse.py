"""Server-Sent Events: messages, and the queue of one connected client (HTML standard, section 9.2)."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from display.state.live_state import Change

Message = TypeVar("Message")

#: Queued messages per client. One that falls further behind is disconnected; it reconnects and catches up.
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


class ClientQueue(Generic[Message]):
    """The bounded queue of one client. Offering never blocks, so a slow client does not delay others."""

    def __init__(self, max_messages: int = MAX_QUEUED_MESSAGES) -> None:
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(max_messages)
        self._is_disconnected = False

    def offer(self, message: Message) -> bool:
        """Queue a message. Return False if the client is disconnected, which a full queue causes."""
        if not self._is_disconnected and self._queue.full():
            self.disconnect()
        if not self._is_disconnected:
            self._queue.put_nowait(message)
        return not self._is_disconnected

    def disconnect(self) -> None:
        """End the client's stream after the message that is being sent, and drop the queued ones."""
        self._is_disconnected = True
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def take(self) -> Message | None:
        """Return the next message as soon as there is one; None once the client is disconnected."""
        return await self._queue.get()

    def take_waiting(self) -> list[Message]:
        """Return the messages that are queued now. What `disconnect` queued stays."""
        messages: list[Message] = []
        while not self._queue.empty() and not self._is_disconnected:
            if (message := self._queue.get_nowait()) is not None:
                messages.append(message)
        return messages


class Viewer(ClientQueue[SseMessage]):
    """The queue of one browser."""

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield encoded messages as they arrive, and heartbeats in between, until the viewer is disconnected."""
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        while True:
            try:
                async with asyncio.timeout(KEEPALIVE_SECONDS):
                    message = await self.take()
            except TimeoutError:
                message = _KEEPALIVE
            if message is None:
                return
            yield message.data
