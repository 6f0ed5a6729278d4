"""Taking a dream home: a page for a phone that shows one dream, or how it is getting on, and nothing else."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_guest_texts
from display.media.pictures import Pictures
from display.media.routes import media_response
from display.pages.share_links import ShareLink, ShareLinks
from display.state.event_hub import EventHub
from display.web.html import PAGE_HEADERS, asset_route, empty_response, page_response
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, frame_name, thumb_name
from shared.storage.sidecar import Visibility

_FRAME_NAME = re.compile("frame-([0-9]{1,4}).jpg", re.ASCII)

#: Kept by the browser, but asked for anew each time: a link ends, and a dream may be taken down.
_REVALIDATED_HEADERS = PAGE_HEADERS | {"Cache-Control": "private, no-cache"}

#: What a browser is answered where the page has nothing to show.
_STATUS_CODES = {"expired": 410, "gone": 404, "nothing": 404, "wrong": 404, "away": 503}


def share_routes(
    event_hub: EventHub,
    pictures: Pictures,
    share_links: ShareLinks,
    is_received: Callable[[str], bool],
    settings: Settings,
) -> list[Route]:
    """Return `/t/<token>`, its state, its pictures and its scripts.

    received: whether a photo was sent that becomes a job, of which nothing else may be known yet.
    """

    def describe_link(link: ShareLink | None) -> dict[str, object]:
        """Return what whoever holds a link may know. The one place that decides it."""
        if link is None:
            return {"state": "wrong"}
        if link.is_expired:
            return {"state": "expired", "ends": link.expires_at}
        return _describe_job(event_hub, link.job_id, is_received) | {"ends": link.expires_at}

    def remove_private_fields(state: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in state.items() if name != "photo"}

    async def get_page(request: Request) -> Response:
        spoken = get_guest_texts(request.query_params.get("lang", settings.language))
        state = remove_private_fields(describe_link(share_links.parse_token(request.path_params["token"])))
        return page_response("share", spoken, status=_STATUS_CODES.get(str(state["state"]), 200), state=state)

    async def get_state(request: Request) -> Response:
        return JSONResponse(
            remove_private_fields(describe_link(share_links.parse_token(request.path_params["token"]))),
            headers=PAGE_HEADERS,
        )

    async def get_picture(request: Request) -> Response:
        link, name = share_links.parse_token(request.path_params["token"]), request.path_params["name"]
        state = describe_link(link)
        if link is None or state["state"] not in ("emerging", "done"):
            return empty_response(410 if state["state"] == "expired" else 404)
        names = {"photo.jpg": str(state["photo"])}
        if state["state"] == "done":
            named = {"dream.jpg": dream_name, "thumb.jpg": thumb_name, "clip.mp4": clip_name}
            names |= {short: full(link.job_id) for short, full in named.items()}
        elif frame := _FRAME_NAME.fullmatch(name):
            names[name] = frame_name(link.job_id, int(frame[1]))
        return (
            await media_response(request, pictures, names[name], _REVALIDATED_HEADERS)
            if name in names
            else empty_response()
        )

    return [
        Route("/t/{token}", get_page),
        Route("/t/{token}/state", get_state),
        Route("/t/{token}/{name}", get_picture),
        asset_route("/share", "share"),
    ]


def _describe_job(event_hub: EventHub, job_id: str, is_received: Callable[[str], bool]) -> dict[str, object]:
    """Return what the one who has a job's link may know of it. The archive says whether a dream may be seen."""
    dream = event_hub.dream_index.find(job_id)
    if dream is not None and event_hub.dream_index.is_visible(job_id):
        shown = {"recipe": dream.recipe, "title": dream.title, "photo": dream.photo}
        return {"state": "done", "job": job_id[:8], **shown}
    if dream is not None:
        return {"state": "held" if dream.visibility is Visibility.HELD else "gone"}
    if event_hub.dream_index.is_deleted(job_id):
        return {"state": "gone"}
    if where := event_hub.describe_job(job_id):
        return where
    if is_received(job_id):
        return {"state": "received"}
    return {"state": "nothing" if event_hub.dream_index.is_complete else "away"}
