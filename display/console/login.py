"""Login: the console's passcode form, and the routes that need a console session."""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from display.console.context import ConsoleContext
from display.console.export import ExportCut, stream_zip
from display.console.numbers_csv import CSV_PATH, format_hours, parse_zone
from display.console.sessions import SESSION_COOKIE, SESSION_LIFETIME_SECONDS
from display.i18n import get_console_texts
from display.media.logos import MAX_LOGO_BYTES
from display.web.html import asset_response, describe_head, fill_template
from display.web.same_origin import is_same_origin
from display.web.security_headers import build_csp
from display.web.theme import make_logo_url
from display.web.threads import run_in_thread
from shared.appearance import Appearance
from shared.broker.client import BROKER_OUTAGE
from shared.errors import ArtDreamError
from shared.public_url import resolve_public_url
from shared.storage.object_names import dream_name, thumb_name
from shared.storage.store import Store, StoreError

logger = logging.getLogger(__name__)

_HEADERS = build_csp(style="'self'", font="'self'", img="'self'", form="'self'") | {"Cache-Control": "no-store"}

#: Size limit of the login form in bytes.
_MAX_FORM_BYTES = 4096


def login_routes(context: ConsoleContext, store: Store, streamlit_route: Route) -> list[Route]:
    """Return the routes `/console` and below. streamlit_route: serves Streamlit's page to logged-in browsers."""

    def is_logged_in(request: Request) -> bool:
        return context.sessions.is_valid(request.cookies.get(SESSION_COOKIE))

    def get_texts(request: Request) -> dict[str, str]:
        return get_console_texts(request.query_params.get("lang", context.settings.language))

    def redirect_to_console(request: Request) -> RedirectResponse:
        url = f"/console?lang={get_texts(request)['language']}"
        return RedirectResponse(url, status_code=303, headers=_HEADERS)

    def form_response(request: Request, message_key: str = "", status: int = 200, **values: str) -> Response:
        return _form_response(get_texts(request), context.event_hub.appearance, message_key, status, **values)

    async def get_console(request: Request) -> Response:
        if is_logged_in(request):
            return await streamlit_route.endpoint(request)  # type: ignore[no-any-return]
        if not context.sessions.is_enabled:
            return form_response(request, "no_console", 404, shut="hidden")
        return form_response(request)

    async def log_in(request: Request) -> Response:
        if not is_same_origin(request, public_url=resolve_public_url(context.settings)):
            return form_response(request, "wrong_origin", 403)
        address = request.client.host if request.client else ""
        if wait := context.sessions.get_lockout_seconds(address):
            return form_response(request, "guesses", 429, seconds=f"{wait:.0f}")
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MAX_FORM_BYTES:
                return Response(status_code=413, headers=_HEADERS)
        passcode = parse_qs(body.decode("utf-8", "replace")).get("passcode", [""])[0]
        session = context.sessions.log_in(passcode, address)
        if session is None:
            return form_response(request, "wrong", 403)
        response = redirect_to_console(request)
        secure = request.url.scheme == "https"
        response.set_cookie(
            SESSION_COOKIE, session, max_age=SESSION_LIFETIME_SECONDS, httponly=True, samesite="strict", secure=secure
        )
        return response

    async def get_picture(request: Request) -> Response:
        """Serve a picture of any visibility to the operator."""
        job_id, name = request.path_params["job_id"], request.path_params["name"]
        dream = context.event_hub.dream_index.find(job_id) if is_logged_in(request) else None
        object_names = {
            "thumb.jpg": thumb_name(job_id),
            "dream.jpg": dream_name(job_id),
            "photo.jpg": dream and dream.photo,
        }
        if dream is None or not (object_name := object_names.get(name)):
            return Response(status_code=404, headers=_HEADERS)
        try:
            data = await store.get_async(object_name)
            if data is None and name == "thumb.jpg":
                data = await store.get_async(dream.dream)
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        if data is None:
            return Response(status_code=404, headers=_HEADERS)
        return Response(data, media_type="image/jpeg", headers=_HEADERS)

    async def export_dreams(request: Request) -> Response:
        if not is_logged_in(request):
            return redirect_to_console(request)
        chunks = stream_zip(store, context.event_hub.dream_index.list_all())
        try:
            first_chunk = await run_in_thread(lambda: next(chunks))
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        headers = _HEADERS | {"Content-Disposition": 'attachment; filename="artdream.zip"'}
        body = _iterate_in_thread(chain([first_chunk], chunks))
        return StreamingResponse(body, media_type="application/zip", headers=headers)

    async def export_numbers(request: Request) -> Response:
        """Serve the hours of the tab Numbers as CSV."""
        if not is_logged_in(request):
            return redirect_to_console(request)
        query = request.query_params
        hours = [query.get(name, "") for name in ("first", "last")]
        if not all(hour.isdecimal() and len(hour) < 8 for hour in hours):
            return Response(status_code=400, headers=_HEADERS)
        try:
            first, last, zone = int(hours[0]), int(hours[1]), parse_zone(query.get("zone"))
            text = await run_in_thread(lambda: format_hours(context.event_hub.broker.get(), store, first, last, zone))
        except (*BROKER_OUTAGE, StoreError):
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        headers = _HEADERS | {"Content-Disposition": 'attachment; filename="artdream-numbers.csv"'}
        return Response(text, media_type="text/csv", headers=headers)

    async def receive_logo(request: Request) -> Response:
        """Store the picture in the body as a logo; answer with its object name, or the reason why it is refused."""
        is_own = is_same_origin(request, public_url=resolve_public_url(context.settings), requires_origin=True)
        if not is_logged_in(request) or not is_own:
            return JSONResponse({"reason": get_texts(request)["locked"]}, 403, headers=_HEADERS)
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > MAX_LOGO_BYTES:
                break  # that it is too large is said below
        try:
            name = await run_in_thread(lambda: context.event_hub.moderation.store_logo(bytes(data)))
        except ArtDreamError as error:
            status = 503 if isinstance(error, StoreError) else 415
            return JSONResponse({"reason": str(error)}, status, headers=_HEADERS | {"Connection": "close"})
        return JSONResponse({"logo": name}, 201, headers=_HEADERS)

    async def get_stylesheet(request: Request) -> Response:
        return await asset_response(request, "login", "login.css")

    return [
        Route("/console", get_console),
        Route("/console/enter", log_in, methods=["POST"]),
        Route("/console/login.css", get_stylesheet),
        Route("/console/logo", receive_logo, methods=["POST"]),
        Route("/console/export.zip", export_dreams),
        Route(CSV_PATH, export_numbers),
        Route("/console/pictures/{job_id}/{name}", get_picture),
    ]


def _form_response(
    texts: Mapping[str, str],
    appearance: Appearance,
    message_key: str,
    status: int,
    *,
    shut: str = "",
    **values: str,
) -> Response:
    """Return the passcode form.

    message_key: key of the console text below the form, "" for none. shut: "hidden" hides the form. values:
    replacements for the placeholders of the message.
    """
    placeholders = {name: texts[name] for name in ("language", "title", "passcode", "enter")}
    placeholders |= describe_head({"name": "ArtDream"}, appearance)
    placeholders |= {
        "message": texts[message_key].format(**values) if message_key else "",
        "shut": shut,
        "logo": make_logo_url(appearance),
        "logo_hidden": "" if appearance.logo else "hidden",
    }
    html_text = fill_template("login", placeholders)
    return Response(html_text, status_code=status, media_type="text/html", headers=_HEADERS)


async def _iterate_in_thread(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks of an export without blocking the event loop. Raises ExportCut if the store fails."""
    try:
        while (chunk := await run_in_thread(lambda: next(chunks, None))) is not None:
            yield chunk
    except StoreError as error:
        logger.warning("A download of all dreams was cut off: %s", error)
        raise ExportCut from None
