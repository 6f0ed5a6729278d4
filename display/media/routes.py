"""Media routes: the event feed (Server-Sent Events), the pictures in the store, and what walls report of them."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from display.media.pictures import Pictures
from display.state.event_hub import EventHub
from display.web.same_origin import is_same_origin
from display.web.security_headers import DENY_ALL_CSP
from shared.public_url import resolve_public_url
from shared.screens import parse_screen_name
from shared.settings import Settings
from shared.storage.object_names import working_photo_name
from shared.storage.store import StoreError

#: Object names that guests may request, if the dream is visible. Every other name answers 404.
_PUBLIC_NAME = re.compile(
    r"photos/[0-9a-f]{64}\.jpg"
    r"|dreams/(?P<job>[0-9a-f]{32})/((dream|thumb|frames/[0-9]{1,4})\.jpg|clip\.(mp4|webp)|zoom\.mp4)",
    re.ASCII,
)

_MEDIA_TYPES = {"gif": "image/gif", "jpg": "image/jpeg", "mp4": "video/mp4", "webp": "image/webp"}

#: A single byte range: first–last, first–, or the last n bytes (RFC 9110, 14.1.2). Multiple ranges are not supported.
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.ASCII | re.IGNORECASE)

#: Bytes of a range that are sent at a time. Browsers ask for a video from some byte on without an end, and abort when
#: they have enough.
MAX_PART_BYTES = 4 * 1024**2

#: The content of an object name never changes, because job ids are derived from photo, recipe and seed. Browsers may
#: keep it, but revalidate it each time: a dream may become invisible.
_REVALIDATED_HEADERS = DENY_ALL_CSP | {"Cache-Control": "private, no-cache"}
_NO_STORE_HEADERS = DENY_ALL_CSP | {"Cache-Control": "no-store"}


def media_routes(settings: Settings, event_hub: EventHub, pictures: Pictures) -> list[Route]:
    """Return the routes `/feed`, `/pictures/<object name>` and `/painted/<job>`. (`/media` belongs to Streamlit.)"""

    async def stream_events(screen_name: str) -> AsyncIterator[bytes]:
        async with event_hub.connect_viewer(screen_name) as viewer:
            async for data in viewer.stream():
                yield data

    async def get_events(request: Request) -> Response:
        # nginx and others buffer responses by default, which would delay every event.
        headers = _NO_STORE_HEADERS | {"X-Accel-Buffering": "no"}
        screen_name = parse_screen_name(request.query_params.get("screen", ""))
        return StreamingResponse(stream_events(screen_name), media_type="text/event-stream", headers=headers)

    async def get_picture(request: Request) -> Response:
        name = request.path_params["name"]
        public_name = _PUBLIC_NAME.fullmatch(name)
        if not public_name:
            return Response(status_code=404, headers=_NO_STORE_HEADERS)
        job_id = public_name["job"]
        if not (event_hub.is_picture_visible(job_id, name) if job_id else event_hub.is_photo_visible(name)):
            if event_hub.dream_index.is_complete:
                return Response(status_code=404, headers=_NO_STORE_HEADERS)
            return Response(status_code=503, headers=_NO_STORE_HEADERS | {"Retry-After": "2"})
        return await media_response(request, pictures, name, _REVALIDATED_HEADERS)

    async def receive_paint(request: Request) -> Response:
        """Trace that a wall has painted a dream."""
        is_own_page = is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True)
        is_recorded = is_own_page and event_hub.traces.record_paint(request.path_params["job_id"])
        return Response(status_code=204 if is_recorded else 404, headers=_NO_STORE_HEADERS)

    return [
        Route("/feed", get_events),
        Route("/pictures/{name:path}", get_picture),
        Route("/painted/{job_id}", receive_paint, methods=["POST"]),
    ]


async def media_response(request: Request, pictures: Pictures, name: str, headers: dict[str, str]) -> Response:
    """Return a picture or clip, or the byte range that the request names. The caller has checked its visibility.

    headers: cache and security headers of the response. Answers 304 if the browser's copy is current, 404 if the
    object does not exist, 416 for a range outside it, 503 if the store is unavailable. A range may be answered in part,
    with MAX_PART_BYTES of it: browsers then ask for the rest (RFC 9110, 15.3.7).
    """
    headers = headers | {"ETag": f'"{hashlib.sha256(name.encode()).hexdigest()[:32]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
    headers["Accept-Ranges"] = "bytes"
    try:
        requested = _parse_range(request, headers["ETag"])
        if requested and (size := await pictures.get_size(name)) is not None:
            begin, end = _resolve_range(requested, size)
            if begin >= end:
                return Response(status_code=416, headers=_NO_STORE_HEADERS | {"Content-Range": f"bytes */{size}"})
            end = min(end, begin + MAX_PART_BYTES)
            if (data := await pictures.get_range(name, begin, end)) is not None:
                content_range = {"Content-Range": f"bytes {begin}-{end - 1}/{size}"}
                return Response(data, status_code=206, media_type=media_type, headers=headers | content_range)
        data = await pictures.get(name)
        if data is None and name.endswith("/thumb.jpg"):  # dreams of older versions have no thumbnail
            data = await pictures.get(name.replace("thumb", "dream"))
        if data is None and name.startswith("photos/"):  # it is still being uploaded
            data, headers = await pictures.get(working_photo_name(PurePosixPath(name).stem)), _NO_STORE_HEADERS
    except StoreError:
        return Response(status_code=503, headers=_NO_STORE_HEADERS | {"Retry-After": "2"})
    if data is None:
        return Response(status_code=404, headers=_NO_STORE_HEADERS)
    return Response(data, media_type=media_type, headers=headers)


def _parse_range(request: Request, etag: str) -> tuple[str, str, str] | None:
    """Return what a request says of its byte range: first, last, length of a suffix; None if it wants the whole.

    Safari plays video only from servers with ranges.
    """
    requested = _RANGE.fullmatch(request.headers.get("range", ""))
    if not requested or request.headers.get("if-range", etag) != etag:
        return None
    first, last, suffix_length = requested.groups(default="")
    return None if first and last and int(first) > int(last) else (first, last, suffix_length)


def _resolve_range(requested: tuple[str, str, str], size: int) -> tuple[int, int]:
    """Return where a byte range begins, and before which byte it ends, in an object of a size."""
    first, last, suffix_length = requested
    begin = int(first) if first else max(0, size - int(suffix_length))
    return begin, min(int(last) + 1, size) if last else size
