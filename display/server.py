"""The display's web server: one ASGI application with Streamlit's pages, the event feed, pictures and guest pages."""

import asyncio
import contextlib
import logging
import re
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
import streamlit.logger
import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.websockets import WebSocketDisconnected
from streamlit.file_util import get_static_dir
from streamlit.web.bootstrap import load_config_options

from display.console.context import ConsoleContext, set_context
from display.console.export import ExportCut
from display.console.login import login_routes
from display.console.sessions import ConsoleSessions
from display.media.pictures import Pictures
from display.media.routes import media_routes
from display.pages.art_map import art_map_routes
from display.pages.collection import collection_routes
from display.pages.gallery import gallery_routes
from display.pages.navigation import MIRROR_PATH
from display.pages.share import share_routes
from display.pages.share_links import ShareLinks
from display.pages.share_state import describe_link
from display.pages.upload import UploadReceiver, upload_routes
from display.state.event_hub import EventHub
from display.state.storage_usage import StorageUsage
from display.uploads.intake import UploadIntake
from display.web.appearance_routes import appearance_routes
from display.web.fonts import PRELOADED_FONT_URL, build_streamlit_font_options, font_routes
from display.web.html import asset_route, empty_response, read_component
from display.web.qr import qr_routes
from display.web.security_headers import DEFAULT_HEADERS, SecurityHeadersMiddleware, build_streamlit_csp
from display.web.streamlit_routes import StreamlitRoutesMiddleware
from display.web.theme import build_theme_css
from shared.api.resources import API_PATH
from shared.appearance import Appearance
from shared.errors import ArtDreamError
from shared.monitoring.heartbeat import DISPLAY_HEALTH_PATH
from shared.settings import ENV_PREFIX, Settings

#: Options that override every Streamlit configuration file.
STREAMLIT_OPTIONS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # guests never see a traceback; it is in the log
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": True,
    "logger.level": "warning",
    "runner.postScriptGC": False,  # four fifths of an open console's processor time; needs no less memory
    "server.fileWatcherType": "none",  # the page's source does not change while the display runs
    "server.headless": True,
    "server.maxUploadSize": 1,  # MB; no page uses st.file_uploader
    "server.runOnSave": False,
    "theme.backgroundColor": "#0b0a09",
    "theme.base": "dark",
    "theme.linkColor": "#e8b45a",
    "theme.paddingTop": "2.5rem",
    "theme.primaryColor": "#e8b45a",
    "theme.textColor": "#efe9df",
    "ui.hideTopBar": True,
}

#: Streamlit's page preloads a font that is not used here; the link is redirected to the font that is.
_FONT_PRELOAD_LINK = re.compile(r'(<link\s+rel="preload"\s+href=")[^"]*\.woff2("\s+as="font")')

#: Largest message that a browser may send over Streamlit's WebSocket: the states of the console's widgets are a few kB.
_MAX_WEBSOCKET_MESSAGE_BYTES = 1024 * 1024

#: Seconds that open requests may take to finish at shutdown.
_SHUTDOWN_TIMEOUT_SECONDS = 2


def create_app(settings: Settings) -> st.App:
    """Return the ASGI application of the display. Raises ArtDreamError if the store or data folder is unusable."""
    load_config_options(
        STREAMLIT_OPTIONS
        | build_streamlit_font_options()
        | {"server.address": settings.host, "server.port": settings.port}
    )
    pictures, share_links = Pictures(settings), ShareLinks(settings)
    event_hub, intake = EventHub(settings, pictures), UploadIntake(settings)
    upload_receiver = UploadReceiver(settings, intake, lambda: event_hub.canary)

    sessions = ConsoleSessions(settings.passcode.get_secret_value() if settings.passcode else "")
    context = ConsoleContext(settings, event_hub, sessions, StorageUsage(pictures.store))
    set_context(context)

    # Only the console shows storage usage: without one, nothing is counted.
    count_storage = context.storage_usage.run if sessions.is_enabled else nullcontext

    def get_appearance() -> Appearance:
        return event_hub.appearance

    mirror, run_mirror = mirror_routes(settings, get_appearance)

    @contextlib.asynccontextmanager
    async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
        async with pictures.run(), event_hub.run(), count_storage(), run_mirror():
            yield {"feed": event_hub}

    describe, recorder = partial(describe_link, event_hub, intake.is_received), event_hub.usage_recorder
    page = str(files("display").joinpath("pages", "streamlit_app.py"))

    async def serve_index(request: Request) -> Response:
        """Serve Streamlit's page with a head and a font of this display; the console is always dark."""
        appearance = event_hub.appearance if request.url.path == "/" else Appearance()
        return HTMLResponse(_read_index_page(appearance), headers={"Cache-Control": "no-cache"})

    index = Route("/", serve_index)
    routes = [
        *media_routes(settings, event_hub, pictures),
        *gallery_routes(event_hub.dream_index, pictures.store, settings, get_appearance),
        *art_map_routes(event_hub.dream_index, pictures.store, settings, get_appearance),
        *share_routes(describe, pictures, share_links, recorder, event_hub.broker, settings, get_appearance),
        *collection_routes(share_links, describe, settings, get_appearance),
        *upload_routes(upload_receiver, intake, share_links, recorder, settings, get_appearance),
        *qr_routes(event_hub.dream_index, share_links),
        *login_routes(context, pictures.store, index),
        *appearance_routes(get_appearance, pictures),
        *font_routes(),
        asset_route("/common", "common"),
        health_route(event_hub),
        *api_routes(settings, event_hub, intake, pictures, share_links, upload_receiver),
        *mirror,
    ]
    security_headers = DEFAULT_HEADERS | build_streamlit_csp(_read_index_page(Appearance()))
    middleware = [
        Middleware(SecurityHeadersMiddleware, headers=security_headers),
        Middleware(StreamlitRoutesMiddleware),
    ]
    return st.App(page, lifespan=lifespan, routes=[index, *routes], middleware=middleware)


def api_routes(
    settings: Settings,
    event_hub: EventHub,
    intake: UploadIntake,
    pictures: Pictures,
    share_links: ShareLinks,
    upload_receiver: UploadReceiver,
) -> list[BaseRoute]:
    """Return the routes of the HTTP API. If it is turned off, they all answer 404, and nothing of it is loaded.

    Raises ArtDreamError if what it needs is not installed.
    """
    if not settings.api:
        return _absent_routes(API_PATH)
    try:
        from display.api.app import create_api
        from display.api.services import ApiServices
    except ModuleNotFoundError as error:
        raise ArtDreamError(
            f"The HTTP API needs {error.name}: install artdream with the extra “api”, or set {ENV_PREFIX}API=false."
        ) from error
    services = ApiServices(settings, event_hub, intake, pictures, share_links, upload_receiver.recipes)
    mount = Mount(API_PATH, create_api(services))
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)  # else a line feed in a path leads elsewhere
    return [mount]


def mirror_routes(
    settings: Settings, get_appearance: Callable[[], Appearance]
) -> tuple[list[BaseRoute], Callable[[], AbstractAsyncContextManager[None]]]:
    """Return the routes of the mirror, and the context in which they work. If it is off, they answer 404.

    Raises ArtDreamError if OpenCV is not installed, or the mirror's network is missing or damaged.
    """
    if not settings.mirror:
        return _absent_routes(MIRROR_PATH), nullcontext
    if find_spec("cv2") is None:  # the process that paints imports it, not this one
        raise ArtDreamError(
            f"The mirror needs OpenCV: install artdream with the extra “mirror”, or set {ENV_PREFIX}MIRROR=false."
        )
    from display.mirror.frame_painter import FramePainter
    from display.mirror.stylizer import get_network_folder, read_metadata
    from display.pages import mirror

    network = get_network_folder(settings)
    stylizer, painter = read_metadata(network), FramePainter(network)
    return mirror.mirror_routes(painter, stylizer, settings, get_appearance), painter.run


def _absent_routes(path: str) -> list[BaseRoute]:
    """Return routes that answer 404 at a path and below it, where otherwise Streamlit's page would be served."""

    async def answer_not_found(_: Request) -> Response:
        return empty_response()

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return [Route(each, answer_not_found, methods=methods) for each in (path, f"{path}/{{rest:path}}")]


def health_route(event_hub: EventHub) -> Route:
    """Return the route of health probes: 503 if the display serves pages, but no longer reads what they show."""

    async def get_health(_: Request) -> Response:
        status, text = (200, "ok") if event_hub.is_reading else (503, "no events are read")
        return PlainTextResponse(text, status, headers={"Cache-Control": "no-store"})

    return Route(DISPLAY_HEALTH_PATH, get_health)


def _read_index_page(appearance: Appearance) -> str:
    """Return Streamlit's page in the colors of an event, from the first paint on.

    It would be white until its scripts run: a flash in a dark room at every reload. A script loads the page again if
    they did not all arrive.
    """
    text = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    head = (
        f"<head><style>{build_theme_css(appearance)} html {{ background: {appearance.colors.ground} }}</style>"
        f"<script>{read_component('common/load_guard.js')}</script>"
    )
    return _FONT_PRELOAD_LINK.sub(rf"\1{PRELOADED_FONT_URL}\2", text).replace("<head>", head, 1)


def serve(settings: Settings) -> None:
    """Run the display in this process until SIGINT or SIGTERM.

    Raises ArtDreamError if the port is in use, the host is not an address of this machine, or the settings name no
    usable broker or store.
    """
    settings.broker  # noqa: B018  read early, so that an unusable broker URL fails before anything runs
    with _listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        if logging.root.handlers:
            _propagate_streamlit_logs()
        config = uvicorn.Config(
            app,
            access_log=False,
            forwarded_allow_ips=settings.trusted_proxies,
            log_config=None,
            log_level="warning",
            proxy_headers=bool(settings.trusted_proxies),
            timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_SECONDS,
            ws="websockets-sansio",  # Streamlit's own choice
            ws_max_size=_MAX_WEBSOCKET_MESSAGE_BYTES,
        )
        for name in ("uvicorn.error", "streamlit.runtime.scriptrunner.script_runner"):
            logging.getLogger(name).addFilter(_ExpectedFaultFilter())
        _Server(config, app).run(sockets=[listener])


def _propagate_streamlit_logs() -> None:
    """Send Streamlit's log records to the root handlers: Streamlit installs a handler of its own on each logger."""

    def remove_handler(logger: logging.Logger) -> None:
        if handler := getattr(logger, "streamlit_console_handler", None):
            logger.removeHandler(handler)
        logger.propagate = True

    streamlit.logger.setup_formatter = remove_handler
    streamlit.logger.update_formatter()


class _ExpectedFaultFilter(logging.Filter):
    """Drops records of faults that browsers cause, as the operator can do nothing, and of those that are in the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a browser that disconnected during a send, sent text where Streamlit expects bytes, or asked
        for a tab of a console that has been locked meanwhile, and for an export that was cut.
        """
        error = record.exc_info[1] if record.exc_info else None
        is_text_frame = isinstance(error, KeyError) and error.args == ("bytes",)
        is_late_request = str(record.msg).startswith("Couldn't find fragment")
        return not (is_text_frame or is_late_request or isinstance(error, (WebSocketDisconnected, ExportCut)))


class _Server(uvicorn.Server):
    """A uvicorn server that closes the viewers' event streams before it shuts down, and logs nothing while it does."""

    def __init__(self, config: uvicorn.Config, app: st.App) -> None:
        super().__init__(config)
        self._app = app

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Shut down on SIGINT and SIGTERM. Unlike uvicorn, do not raise them again: the process exits with 0."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the event streams, which browsers never end by themselves, then shut down."""
        # From here on uvicorn only logs about connections that it has to cut.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        event_hub = self._app.state.get("feed")
        if isinstance(event_hub, EventHub):
            event_hub.close()
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
