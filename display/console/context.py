"""The desk: what the operator's page works with. One display runs in a process, and the page in its threads."""

from dataclasses import dataclass

from display.console.sessions import SESSION_COOKIE, ConsoleSessions
from display.state.event_hub import EventHub
from display.state.storage_usage import StorageUsage
from shared.settings import Settings


@dataclass(frozen=True)
class ConsoleContext:
    """The parts of the running display."""

    settings: Settings
    event_hub: EventHub
    sessions: ConsoleSessions
    storage_usage: StorageUsage


_contexts: list[ConsoleContext] = []


def set_context(context: ConsoleContext) -> None:
    """Make a desk the one of this process."""
    _contexts[:] = [context]


def get_context(cookies: "dict[str, str]") -> ConsoleContext | None:
    """Return the desk to a browser that has let itself in, None to any other."""
    return next((desk for desk in _contexts if desk.sessions.is_valid(cookies.get(SESSION_COOKIE))), None)
