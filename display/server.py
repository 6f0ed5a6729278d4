"""The display's web server: Streamlit's ASGI application with the feed and the pictures beside it."""

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from importlib.resources import files
from pathlib import Path

import streamlit as st
import streamlit.logger
import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.websockets import WebSocketDisconnected
from streamlit.file_util import get_static_dir
from streamlit.web.bootstrap import load_config_options

from display.console.context import ConsoleContext, set_context
from display.console.login import login_routes
from display.console.sessions import ConsoleSessions
from display.media.pictures import Pictures
from display.media.routes import media_routes
from display.pages.art_map import art_map_routes
from display.pages.gallery import gallery_routes
from display.pages.share import share_routes
from display.pages.share_links import ShareLinks
from display.pages.upload import UploadReceiver, upload_routes
from display.state.event_hub import EventHub
from display.state.storage_usage import StorageUsage
from display.web.fonts import PRELOADED_FONT_URL, build_streamlit_font_options, font_routes
from display.web.html import asset_route
from display.web.qr import qr_routes
from display.web.security_headers import DEFAULT_HEADERS, SecurityHeadersMiddleware, build_streamlit_csp
from shared.errors import ArtDreamError
from shared.settings import Settings

#: Given to Streamlit above any configuration file.
STREAMLIT_OPTIONS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # a guest never sees a traceback; the log has it
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    "server.fileWatcherType": "none",  # the page does not change while it hangs on the wall
    "server.headless": True,
    "server.runOnSave": False,
    "theme.backgroundColor": "#0b0a09",
    "theme.base": "dark",
    "theme.linkColor": "#e8b45a",
    "theme.paddingTop": "2.5rem",
    "theme.primaryColor": "#e8b45a",
    "theme.textColor": "#efe9df",
    "ui.hideTopBar": True,
}

#: Streamlit's page is white until its scripts run: a flash in a dark room at every reload.
_DARK_HEAD = f"<head><style>html {{ background: {STREAMLIT_OPTIONS['theme.backgroundColor']} }}</style>"

#: What Streamlit fetches first is a typeface that its pages do not use here.
_FONT_PRELOAD_LINK = re.compile(r'(<link\s+rel="preload"\s+href=")[^"]*\.woff2("\s+as="font")')

#: Seconds that open requests may take when the display ends.
_SHUTDOWN_TIMEOUT_SECONDS = 2


def create_app(settings: Settings) -> st.App:
    """Return the ASGI application of the display. Raises ArtDreamError where store or data cannot be used."""
    load_config_options(
        STREAMLIT_OPTIONS
        | build_streamlit_font_options()
        | {"server.address": settings.host, "server.port": settings.port}
    )
    pictures, links = Pictures(settings), ShareLinks(settings)
    feed, counter = EventHub(settings, pictures), UploadReceiver(settings)

    guard = ConsoleSessions(settings.passcode.get_secret_value() if settings.passcode else "")
    desk = ConsoleContext(settings, feed, guard, StorageUsage(pictures.store))
    set_context(desk)

    counting = desk.storage_usage.run if guard.is_enabled else contextlib.nullcontext  # for nobody else to read

    @contextlib.asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
        async with pictures.run(), feed.run(), counting():
            yield {"feed": feed}

    page = str(files("display").joinpath("pages", "streamlit_app.py"))
    index = Route("/", _serve_index)
    beside = [
        *media_routes(feed, pictures),
        *gallery_routes(feed.dream_index, pictures.store, settings),
        *art_map_routes(feed.dream_index, pictures.store, settings),
        *share_routes(feed, pictures, links, counter.is_received, settings),
        *upload_routes(counter, links, settings),
        *qr_routes(feed.dream_index, links),
        *login_routes(desk, pictures.store, index),
        *font_routes(),
        asset_route("/common", "common"),
    ]
    sealed = Middleware(SecurityHeadersMiddleware, headers=DEFAULT_HEADERS | build_streamlit_csp(_read_index_page()))
    return st.App(page, lifespan=lifespan, routes=[index, *beside], middleware=[sealed])


async def _serve_index(_: Request) -> Response:
    """Serve Streamlit's page, dark from the first moment."""
    return HTMLResponse(_read_index_page(), headers={"Cache-Control": "no-cache"})


def _read_index_page() -> str:
    text = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    return _FONT_PRELOAD_LINK.sub(rf"\1{PRELOADED_FONT_URL}\2", text).replace("<head>", _DARK_HEAD, 1)


def serve(settings: Settings) -> None:
    """Run the display in this process until SIGINT or SIGTERM.

    Raises ArtDreamError where the port is taken, the host is not this machine's, or broker or store cannot be named.
    """
    settings.broker  # noqa: B018  asked for its error, before anything runs
    with _listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        if logging.root.handlers:
            _propagate_streamlit_logs()
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_SECONDS,
            ws="websockets-sansio",  # what Streamlit itself chooses
            ws_max_size=64 * 1024 * 1024,
        )
        logging.getLogger("uvicorn.error").addFilter(_ConnectionErrorFilter())
        _Server(config, app).run(sockets=[listener])


def _propagate_streamlit_logs() -> None:
    """Let what Streamlit logs go where everything else goes, in the same form: it has a handler for each logger."""

    def remove_handler(logger: logging.Logger) -> None:
        if handler := getattr(logger, "streamlit_console_handler", None):
            logger.removeHandler(handler)
        logger.propagate = True

    streamlit.logger.setup_formatter = remove_handler
    streamlit.logger.update_formatter()


class _ConnectionErrorFilter(logging.Filter):
    """Keeps faults of a connection out of the log that are not the display's: nobody can do anything about them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass what is neither a browser that left while it was spoken to, nor text where Streamlit takes bytes."""
        error = record.exc_info[1] if record.exc_info else None
        text = isinstance(error, KeyError) and error.args == ("bytes",)
        return not (text or isinstance(error, WebSocketDisconnected))


class _Server(uvicorn.Server):
    """A server that ends its viewers' streams first, and ends quietly."""

    def __init__(self, config: uvicorn.Config, app: st.App) -> None:
        super().__init__(config)
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on SIGINT and SIGTERM. Unlike uvicorn's own they are not raised again: ending is what was asked for."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGINT, signal.SIGTERM)
        for number in caught:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End without waiting for browsers that never go away by themselves."""
        # What uvicorn says from here on is about those browsers.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        feed = self._app.state.get("feed")
        if isinstance(feed, EventHub):
            feed.close()
        await super().shutdown(sockets)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise ArtDreamError(
            f"The display cannot listen on {host}, port {port}: {error.strerror}. "
            "Stop what uses that port, or choose another with --port."
        ) from None
