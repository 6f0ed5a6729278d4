"""Streamlit's own routes: those that the wall and the console need are open, all others are closed."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from display.web.html import empty_response

#: What Streamlit's page asks for, besides its files.
OPEN_PATHS = {"/_stcore/health", "/_stcore/host-config", "/_stcore/stream"}

#: Where Streamlit receives files, which it keeps in memory, serves metrics and media, and logs people in. No page here
#: uses any of it.
_CLOSED_PATHS = re.compile("/+(_stcore|auth|oauth2callback|media|component|app/static)(/.*)?", re.DOTALL)


def is_closed(path: str) -> bool:
    """Return whether a path belongs to Streamlit, and no page here needs it."""
    return path not in OPEN_PATHS and _CLOSED_PATHS.fullmatch(path) is not None


class StreamlitRoutesMiddleware:
    """ASGI middleware that answers 404 instead of Streamlit. Streamlit takes no routes that lie over its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] == "http" and is_closed(scope["path"]):
            await empty_response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)
