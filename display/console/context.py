"""Console context: the display's services that the console page uses. One display runs per process."""

from dataclasses import dataclass

from display.console.sessions import SESSION_COOKIE, ConsoleSessions
from display.state.event_hub import EventHub
from display.state.storage_usage import StorageUsage
from shared.settings import Settings


@dataclass(frozen=True)
class ConsoleContext:
    """The services of the running display."""

    settings: Settings
    event_hub: EventHub
    sessions: ConsoleSessions
    storage_usage: StorageUsage


#: Empty, or the context of this process. Streamlit runs the console page in threads of the display's process.
_contexts: list[ConsoleContext] = []


def set_context(context: ConsoleContext) -> None:
    """Set the context of this process."""
    _contexts[:] = [context]


def get_context(cookies: "dict[str, str]") -> ConsoleContext | None:
    """Return the context if the cookies hold a valid console session, None otherwise."""
    return next((context for context in _contexts if context.sessions.is_valid(cookies.get(SESSION_COOKIE))), None)
