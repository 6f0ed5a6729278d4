"""The routes beside Streamlit's own: the feed, and the pictures in the store."""

import hashlib
import re
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from display.media.pictures import Pictures
from display.state.event_hub import EventHub
from display.web.security_headers import DENY_ALL_CSP
from shared.storage.store import StoreError

#: The object names that anyone may see. Whatever does not match is not there.
_PUBLIC_NAME = re.compile(
    r"photos/[0-9a-f]{64}\.jpg"
    r"|dreams/(?P<job>[0-9a-f]{32})/((dream|thumb|frames/[0-9]{1,4})\.jpg|clip\.(mp4|webp)|zoom\.mp4)",
    re.ASCII,
)

_MEDIA_TYPES = {"jpg": "image/jpeg", "mp4": "video/mp4", "webp": "image/webp"}

#: One part of an object: from–to, from–, or the last so many bytes (RFC 9110, 14.1.2). Several at once are not given.
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.ASCII | re.IGNORECASE)

#: An object's name fixes its pixels, for job ids are derived from photo, recipe and seed; but whether it may be seen is
#: asked each time.
_REVALIDATED_HEADERS = DENY_ALL_CSP | {"Cache-Control": "private, no-cache"}
_NO_STORE_HEADERS = DENY_ALL_CSP | {"Cache-Control": "no-store"}


def media_routes(event_hub: EventHub, pictures: Pictures) -> list[Route]:
    """Return `/feed` and `/pictures/<object name>`. (`/media` belongs to Streamlit.)"""

    async def stream_events() -> AsyncIterator[bytes]:
        async with event_hub.connect_viewer() as viewer:
            async for data in viewer.stream():
                yield data

    async def get_events(_: Request) -> Response:
        # A proxy that collects a stream before passing it on would hold every event back.
        headers = _NO_STORE_HEADERS | {"X-Accel-Buffering": "no"}
        return StreamingResponse(stream_events(), media_type="text/event-stream", headers=headers)

    async def get_picture(request: Request) -> Response:
        name = request.path_params["name"]
        fitting = _PUBLIC_NAME.fullmatch(name)
        if not fitting:
            return Response(status_code=404, headers=_NO_STORE_HEADERS)
        if not (event_hub.is_visible(fitting["job"]) if fitting["job"] else event_hub.is_photo_visible(name)):
            if event_hub.dream_index.is_complete:
                return Response(status_code=404, headers=_NO_STORE_HEADERS)
            return Response(status_code=503, headers=_NO_STORE_HEADERS | {"Retry-After": "2"})
        return await media_response(request, pictures, name, _REVALIDATED_HEADERS)

    return [Route("/feed", get_events), Route("/pictures/{name:path}", get_picture)]


async def media_response(request: Request, pictures: Pictures, name: str, headers: dict[str, str]) -> Response:
    """Answer with a picture that may be seen, or with the part of it that is asked for. headers: how it is kept."""
    headers = headers | {"ETag": f'"{hashlib.sha256(name.encode()).hexdigest()[:32]}"'}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    try:
        data = await pictures.get(name)
        if data is None and name.endswith("/thumb.jpg"):  # a dream from before there were thumbnails
            data = await pictures.get(name.replace("thumb", "dream"))
    except StoreError:
        return Response(status_code=503, headers=_NO_STORE_HEADERS | {"Retry-After": "2"})
    if data is None:
        return Response(status_code=404, headers=_NO_STORE_HEADERS)
    return _range_response(data, _MEDIA_TYPES[name.rpartition(".")[2]], headers | {"Accept-Ranges": "bytes"}, request)


def _range_response(data: bytes, media_type: str, headers: dict[str, str], request: Request) -> Response:
    """Return the part of an object that is asked for, or all of it. Safari plays no video from who cannot do that."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    first, last, tail = asked.groups() if asked else ("", "", "")
    backwards = first and last and int(first) > int(last)
    if not asked or backwards or request.headers.get("if-range", headers["ETag"]) != headers["ETag"]:
        return Response(data, media_type=media_type, headers=headers)
    begin = int(first) if first else max(0, len(data) - int(tail))
    end = min(int(last) + 1, len(data)) if last else len(data)
    if begin >= end:
        return Response(status_code=416, headers=_NO_STORE_HEADERS | {"Content-Range": f"bytes */{len(data)}"})
    place = {"Content-Range": f"bytes {begin}-{end - 1}/{len(data)}"}
    return Response(data[begin:end], status_code=206, media_type=media_type, headers=headers | place)
