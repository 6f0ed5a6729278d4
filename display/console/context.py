"""The desk: what the operator's page works with. One display runs in a process, and the page in its threads."""

from dataclasses import dataclass

from display.console.sessions import COOKIE, Guard
from display.state.event_hub import Feed
from display.state.storage_usage import Tally
from shared.settings import Settings


@dataclass(frozen=True)
class Desk:
    """The parts of the running display."""

    settings: Settings
    feed: Feed
    guard: Guard
    tally: Tally


_taken: list[Desk] = []


def take(desk: Desk) -> None:
    """Make a desk the one of this process."""
    _taken[:] = [desk]


def desk_of(cookies: "dict[str, str]") -> Desk | None:
    """Return the desk to a browser that has let itself in, None to any other."""
    return next((desk for desk in _taken if desk.guard.knows(cookies.get(COOKIE))), None)
