"""Console context: the display's services that the console page uses, and who may. One display runs per process."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import streamlit as st

from display.console.sessions import SESSION_COOKIE, ConsoleSessions
from display.state.event_hub import EventHub
from display.state.storage_usage import StorageUsage
from shared.broker.client import BROKER_OUTAGE
from shared.runtime_settings import RuntimeSettings, read_runtime_settings
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


def get_context() -> ConsoleContext | None:
    """Return the context if the browser of this page has a valid console session, None otherwise."""
    return next((context for context in _contexts if context.sessions.is_valid(_read_session())), None)


def end_session(context: ConsoleContext) -> None:
    """End the console session of this page's browser, and redraw the page."""
    context.sessions.log_out(_read_session())
    st.rerun()


def _read_session() -> str:
    return st.context.cookies.to_dict().get(SESSION_COOKIE, "")


def require_session() -> None:
    """Redraw the page, which then shows the link to the login only, if the console session has ended."""
    if get_context() is None:
        st.rerun(scope="app")


def read_settings(context: ConsoleContext, texts: Mapping[str, str]) -> RuntimeSettings | None:
    """Return the runtime settings; None if the broker is unavailable, which the tab then says."""
    try:
        return read_runtime_settings(context.event_hub.broker.get(), context.settings)
    except BROKER_OUTAGE:
        st.caption(texts["helm_away"])
        return None


Render = Callable[[ConsoleContext, Mapping[str, str]], None]


def console_fragment(*, run_every: float | None = None) -> Callable[[Render], Render]:
    """Return the decorator of a tab: a fragment of the page, drawn only while the console session is valid.

    Streamlit redraws a fragment without the page around it: a page that is open outlives its session. run_every:
    seconds between two drawings besides those that its widgets cause.
    """

    def decorate(render: Render) -> Render:
        @st.fragment(run_every=run_every)
        @functools.wraps(render)
        def render_with_session(context: ConsoleContext, texts: Mapping[str, str]) -> None:
            require_session()
            render(context, texts)

        return render_with_session

    return decorate
