"""Share page: shows one dream, or the progress of its job, to the guest whose phone opened its link."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.media.pictures import Pictures
from display.media.routes import media_response
from display.pages.share_links import ShareLink, ShareLinks
from display.pages.share_prints import print_routes
from display.state.event_hub import EventHub
from display.web.html import PAGE_HEADERS, asset_route, empty_response, page_response
from display.web.rate_limit import RateLimiter
from display.web.same_origin import is_same_origin
from shared.monitoring.usage_counts import Counted
from shared.public_url import resolve_public_url
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, frame_name, thumb_name
from shared.storage.sidecar import Visibility

_FRAME_NAME = re.compile("frame-([0-9]{1,4}).jpg", re.ASCII)

#: Browsers keep a picture, but revalidate it each time: a link expires, and a dream may be hidden.
_REVALIDATED_HEADERS = PAGE_HEADERS | {"Cache-Control": "private, no-cache"}

#: HTTP status of the page for states that have nothing to show.
_STATUS_CODES = {"expired": 410, "gone": 404, "nothing": 404, "wrong": 404, "away": 503}


#: Events that are counted of one dream within an hour: more than guests cause, so that nobody distorts the numbers.
MAX_COUNTED_EVENTS, COUNTED_EVENTS_WINDOW_SECONDS = 100, 3600


def share_routes(
    event_hub: EventHub,
    pictures: Pictures,
    share_links: ShareLinks,
    is_received: Callable[[str], bool],
    settings: Settings,
) -> list[Route]:
    """Return the routes `/t/<token>`, its state, its events and its pictures, and the assets of the page.

    is_received: returns whether the photo of a job id was uploaded here. Nothing else may be known of the job yet.
    """

    event_limiter = RateLimiter(MAX_COUNTED_EVENTS, COUNTED_EVENTS_WINDOW_SECONDS)

    def describe_link(link: ShareLink | None) -> dict[str, object]:
        """Return everything that the holder of a link may know. No other code decides this."""
        if link is None:
            return {"state": "wrong"}
        if link.is_expired:
            return {"state": "expired", "ends": link.expires_at}
        return _describe_job(event_hub, link.job_id, is_received) | {"ends": link.expires_at}

    def remove_private_fields(state: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in state.items() if name != "photo"}

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        state = remove_private_fields(describe_link(share_links.parse_token(request.path_params["token"])))
        status = _STATUS_CODES.get(str(state["state"]), 200)
        return page_response("share", texts, event_hub.appearance, status=status, state=state)

    async def get_state(request: Request) -> Response:
        return JSONResponse(
            remove_private_fields(describe_link(share_links.parse_token(request.path_params["token"]))),
            headers=PAGE_HEADERS,
        )

    def event_route(name: str, kind: Counted) -> Route:
        """Return the route at which a guest's page reports an event, which is counted; nothing about the guest is."""

        async def count_event(request: Request) -> Response:
            link = share_links.parse_token(request.path_params["token"])
            is_own_page = is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True)
            if link is None or link.is_expired or not is_own_page:
                return empty_response(403)
            if event_limiter.get_wait_seconds(link.job_id) <= 0:
                event_limiter.record(link.job_id)
                event_hub.usage_recorder.record(kind)
            return empty_response(204)

        return Route(f"/t/{{token}}/{name}", count_event, methods=["POST"])

    async def get_picture(request: Request) -> Response:
        link, name = share_links.parse_token(request.path_params["token"]), request.path_params["name"]
        state = describe_link(link)
        if link is None or state["state"] not in ("emerging", "done"):
            return empty_response(410 if state["state"] == "expired" else 404)
        object_names = {"photo.jpg": str(state["photo"])}
        if state["state"] == "done":
            name_functions = {"dream.jpg": dream_name, "thumb.jpg": thumb_name, "clip.mp4": clip_name}
            object_names |= {file_name: name_of(link.job_id) for file_name, name_of in name_functions.items()}
        elif frame := _FRAME_NAME.fullmatch(name):
            object_names[name] = frame_name(link.job_id, int(frame[1]))
        return (
            await media_response(request, pictures, object_names[name], _REVALIDATED_HEADERS)
            if name in object_names
            else empty_response()
        )

    def find_visible_dream(token: str) -> str | None:
        link = share_links.parse_token(token)
        return link.job_id if link and describe_link(link)["state"] == "done" else None

    return [
        Route("/t/{token}", get_page),
        Route("/t/{token}/state", get_state),
        event_route("opened", Counted.OPENED),
        event_route("saved", Counted.SAVED),
        *print_routes(find_visible_dream, settings, pictures.store),
        Route("/t/{token}/{name}", get_picture),
        asset_route("/share", "share"),
    ]


def _describe_job(event_hub: EventHub, job_id: str, is_received: Callable[[str], bool]) -> dict[str, object]:
    """Return the state of a job for the holder of its link. A dream is shown only if the dream index says so."""
    dream = event_hub.dream_index.find(job_id)
    if dream is not None and event_hub.dream_index.is_visible(job_id):
        details = {"recipe": dream.recipe, "title": dream.title, "photo": dream.photo}
        return {"state": "done", "job": job_id[:8], **details}
    if dream is not None:
        return {"state": "held" if dream.visibility is Visibility.HELD else "gone"}
    if event_hub.dream_index.is_deleted(job_id):
        return {"state": "gone"}
    if state := event_hub.describe_job(job_id):
        return state
    if is_received(job_id):
        return {"state": "received"}
    return {"state": "nothing" if event_hub.dream_index.is_complete else "away"}
