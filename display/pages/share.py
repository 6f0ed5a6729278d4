"""Share page: shows one dream, or the progress of its job, to the guest whose phone opened its link."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.media.pictures import Pictures
from display.media.routes import media_response
from display.pages.collection import remember_picture
from display.pages.share_links import ShareLinks
from display.pages.share_prints import print_routes
from display.pages.share_state import DescribeLink, remove_private_fields
from display.state.broker_pool import BrokerPool
from display.state.usage_recorder import UsageRecorder
from display.web.html import PAGE_HEADERS, asset_route, empty_response, page_response
from display.web.rate_limit import RateLimiter
from display.web.same_origin import is_same_origin
from display.web.threads import run_in_thread
from shared.appearance import Appearance
from shared.broker.client import BROKER_OUTAGE
from shared.jobs.clip_requests import ClipFormat, add_clip_request
from shared.monitoring.usage_counts import Counted
from shared.public_url import resolve_public_url
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, frame_name, thumb_name
from shared.storage.store import StoreError

_FRAME_NAME = re.compile("frame-([0-9]{1,4}).jpg", re.ASCII)

#: Browsers keep a picture, but revalidate it each time: a link expires, and a dream may be hidden.
_REVALIDATED_HEADERS = PAGE_HEADERS | {"Cache-Control": "private, no-cache"}

#: HTTP status of the page for states that have nothing to show.
_STATUS_CODES = {"expired": 410, "gone": 404, "nothing": 404, "wrong": 404, "away": 503}


#: Events of one dream that are counted within an hour: more than guests cause, so that the numbers stay sound.
MAX_COUNTED_EVENTS, COUNTED_EVENTS_WINDOW_SECONDS = 100, 3600


def share_routes(
    describe_link: DescribeLink,
    pictures: Pictures,
    share_links: ShareLinks,
    usage_recorder: UsageRecorder,
    broker: BrokerPool,
    settings: Settings,
    get_appearance: Callable[[], Appearance],
) -> list[Route]:
    """Return the routes `/t/<token>`, its state, its events, its pictures and clips, and the assets of the page."""
    event_limiter = RateLimiter(MAX_COUNTED_EVENTS, COUNTED_EVENTS_WINDOW_SECONDS)

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        token = request.path_params["token"]
        link = share_links.parse_token(token)
        state = remove_private_fields(describe_link(link))
        status = _STATUS_CODES.get(str(state["state"]), 200)
        response = page_response("share", texts, get_appearance(), status=status, state=state)
        if link is not None and not link.is_expired:
            remember_picture(response, request, token, link)
        return response

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
                usage_recorder.record(kind, job_id=link.job_id)
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
            object_names |= {clip_format: clip_format.object_name(link.job_id) for clip_format in ClipFormat}
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

    async def request_clip(request: Request) -> Response:
        """Let a format of the clip be made: 200 if it is there, 202 if it will be, 503 if that is impossible now."""
        if not is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True):
            return empty_response(403)
        link = share_links.parse_token(request.path_params["token"])
        if link is None or describe_link(link)["state"] != "done":
            return empty_response(404)
        try:
            clip_format = ClipFormat(request.path_params["name"])
        except ValueError:
            return empty_response(404)
        try:
            if await pictures.get_size(clip_format.object_name(link.job_id)) is not None:
                return empty_response(200)
            if await pictures.get_size(clip_name(link.job_id)) is None:
                return empty_response(404)  # there is nothing yet to make it of
            is_added = await run_in_thread(lambda: add_clip_request(broker.get(), link.job_id, clip_format))
        except (StoreError, *BROKER_OUTAGE):
            is_added = False
        return empty_response(202 if is_added else 503)

    return [
        Route("/t/{token}", get_page),
        Route("/t/{token}/state", get_state),
        event_route("opened", Counted.OPENED),
        event_route("saved", Counted.SAVED),
        *print_routes(find_visible_dream, broker, settings, pictures.store),
        Route("/t/{token}/{name}", get_picture),
        Route("/t/{token}/{name}", request_clip, methods=["POST"]),
        asset_route("/share", "share"),
    ]
