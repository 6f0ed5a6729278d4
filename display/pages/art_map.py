"""Art map: the page that shows a network's embedding of paintings and dreams, drawn by Plotly with WebGL."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.resources import files

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.pages.navigation import list_guest_pages
from display.state.dream_index import DreamIndex
from display.web.html import asset_route, page_response
from display.web.security_headers import SAME_ORIGIN_SOURCES, build_csp
from display.web.threads import run_in_thread
from shared.appearance import Appearance
from shared.art_map import ArtMap
from shared.settings import Settings
from shared.storage.object_names import NETWORKS_PREFIX
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

#: Dreams on the map.
MAX_MAP_DREAMS = 12

#: Seconds between two checks for a newer map in the store.
REFRESH_INTERVAL_SECONDS = 30.0

#: Exceptions to the usual sources: Plotly inserts style elements, and its WebGL traces compile functions from text.
_PLOTLY_SOURCES = {"script": "'self' 'unsafe-eval'", "style": "'self' 'unsafe-inline'", "img": "'self' data: blob:"}

_HEADERS = build_csp(**SAME_ORIGIN_SOURCES | _PLOTLY_SOURCES) | {"Cache-Control": "no-cache"}


class LatestArtMap:
    """The newest map in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._refreshed_at = float("-inf")
        self._object_name = ""
        self._modified_at: object = None
        #: None if there is no map or it cannot be read.
        self.map: ArtMap | None = None
        #: Why the map cannot be read, "" if it can or there is none.
        self.error_text = ""
        #: Object names of the reference images on the map.
        self.picture_names: frozenset[str] = frozenset()

    def refresh(self) -> None:
        """Read the newest map, unless a map was read within REFRESH_INTERVAL_SECONDS.

        Raises StoreError if the store is unavailable.
        """
        if time.monotonic() - self._refreshed_at < REFRESH_INTERVAL_SECONDS:
            return
        map_entries = [
            entry
            for entry in self._store.list_objects(NETWORKS_PREFIX)
            if re.fullmatch(r"networks/[^/]+/map\.json", entry.name)
        ]
        newest = max(map_entries, key=lambda entry: entry.modified, default=None)
        if newest is None:
            self.map, self.error_text, self.picture_names, self._object_name = None, "", frozenset(), ""
        elif (newest.name, newest.modified) != (self._object_name, self._modified_at):
            self._load(newest.name)
            self._object_name, self._modified_at = newest.name, newest.modified
        if self.map is not None:
            self._refreshed_at = time.monotonic()

    def _load(self, name: str) -> None:
        self.map, self.error_text, self.picture_names = None, "", frozenset()
        try:
            self.map = ArtMap.model_validate_json(self._store.get(name) or b"")
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            self.error_text = f"The map {name} cannot be read: {reason}."
            logger.info("%s", self.error_text)
        else:
            self.picture_names = frozenset(filter(None, self.map.picture))


def art_map_routes(
    dream_index: DreamIndex, store: Store, settings: Settings, get_appearance: Callable[[], Appearance]
) -> list[Route]:
    """Return the routes `/map`, its assets, and its data: the map with the newest dreams, and reference images."""
    latest_map, refreshing = LatestArtMap(store), asyncio.Lock()

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        pages = await list_guest_pages(settings)
        return page_response(
            "art_map", texts, get_appearance(), headers=_HEADERS, plotly=version("plotly"), pages=pages
        )

    async def get_plotly(_: Request) -> Response:
        path = str(files("plotly").joinpath("package_data", "plotly.min.js"))
        headers = _HEADERS | {"Cache-Control": "public, max-age=31536000, immutable"}
        return FileResponse(path, media_type="text/javascript", headers=headers)

    async def list_paintings(_: Request) -> Response:
        try:
            async with refreshing:  # a store that hangs occupies one thread, however many guests ask for the map
                await run_in_thread(latest_map.refresh)
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        if latest_map.map is None:
            return JSONResponse({"fault": latest_map.error_text}, status_code=404, headers=_HEADERS)
        dreams = [dream.as_json() for dream in dream_index.list_on_map(latest_map.map.network, MAX_MAP_DREAMS)]
        return JSONResponse(latest_map.map.model_dump() | {"dreams": dreams}, headers=_HEADERS)

    async def get_picture(request: Request) -> Response:
        name = f"references/{request.path_params['name']}"
        if name not in latest_map.picture_names:
            return Response(status_code=404, headers=_HEADERS)
        try:
            data = await store.get_async(name)
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        media_type = _detect_media_type(data or b"")
        if data is None or media_type is None:
            return Response(status_code=404, headers=_HEADERS)
        return Response(data, media_type=media_type, headers=_HEADERS | {"Cache-Control": "private, max-age=3600"})

    return [
        Route("/map", get_page),
        Route("/map/paintings", list_paintings),
        Route("/map/plotly.js", get_plotly),
        Route("/map/references/{name:path}", get_picture),
        asset_route("/map", "art_map"),
    ]


def _detect_media_type(data: bytes) -> str | None:
    """Return the media type of a picture by its first bytes, None if it is not JPEG, PNG or WebP."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
