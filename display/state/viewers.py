"""The connected browsers: each gets a snapshot first, then every change that its screen shows."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager, suppress

from display.state.live_state import Change
from display.web.sse import SseMessage, Viewer

#: Seconds that a new viewer waits for past dreams, so that a restarted wall does not flash its empty state.
_INITIAL_SNAPSHOT_TIMEOUT_SECONDS = 3.0


class Viewers:
    """All viewers of this process. One that is too slow is dropped; it reconnects and gets a new snapshot."""

    def __init__(
        self,
        make_snapshot: Callable[[str], SseMessage],
        shows: Callable[[str, Change], bool],
        sources_tried: Sequence[asyncio.Event],
    ) -> None:
        """make_snapshot: returns that of a screen, by its name. shows: returns whether a screen shows a change.

        sources_tried: set as soon as stream, store and runtime settings, respectively, have been tried once.
        """
        self._make_snapshot = make_snapshot
        self._shows = shows
        self._sources_tried = sources_tried
        self._screens: dict[Viewer, str] = {}  # viewer → the name of its screen

    @property
    def screen_names(self) -> set[str]:
        """The names of the screens that are connected; "" for those without a name."""
        return set(self._screens.values())

    @asynccontextmanager
    async def connect(self, screen_name: str) -> AsyncIterator[Viewer]:
        """Add the viewer of a screen until the context ends. Its first message is a snapshot."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_INITIAL_SNAPSHOT_TIMEOUT_SECONDS):
                for tried in self._sources_tried:
                    await tried.wait()
        viewer = Viewer()
        viewer.offer(self._make_snapshot(screen_name))
        self._screens[viewer] = screen_name
        try:
            yield viewer
        finally:
            self._screens.pop(viewer, None)

    def broadcast(self, change: Change, event_id: str = "") -> None:
        """Send a change to the viewers whose screens show it. event_id: as in `SseMessage.from_change`."""
        message = SseMessage.from_change(change, event_id)
        self._send(lambda screen_name: message if self._shows(screen_name, change) else None)

    def broadcast_snapshots(self, screen_names: Container[str] | None = None) -> None:
        """Send the viewers of some screens, by default of all, a new snapshot of their screen."""
        make_snapshot = functools.cache(self._make_snapshot)
        self._send(lambda name: make_snapshot(name) if screen_names is None or name in screen_names else None)

    def _send(self, make_message: Callable[[str], SseMessage | None]) -> None:
        """Send the viewers of each screen the message for it, if any, and drop those that are too far behind."""
        for viewer, screen_name in list(self._screens.items()):
            message = make_message(screen_name)
            if message and not viewer.offer(message):
                del self._screens[viewer]

    def disconnect(self) -> None:
        """End the streams of all viewers."""
        for viewer in self._screens:
            viewer.disconnect()
