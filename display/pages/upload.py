"""Sending: a page for guests' phones that brings a photo in by the way that all photos take."""

import asyncio
import contextlib
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import get_guest_texts
from display.pages.multipart import UploadFolder, UploadRejected
from display.pages.share_links import ShareLinks
from display.web.html import PAGE_HEADERS, asset_response, asset_route, empty_response, page_response
from display.web.qr import qr_response
from display.web.rate_limit import RateLimiter
from display.web.threads import run_in_thread
from shared.public_url import resolve_public_url
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings

_LOG = logging.getLogger(__name__)

#: The cookie that tells one browser from the next: a number by chance, for the limit and for taking turns.
GUEST_COOKIE = "artdream_guest"

_GUEST_ID = re.compile("[0-9a-f]{16}", re.ASCII)

#: Seconds that a browser keeps it: an evening and the morning after.
_COOKIE_LIFETIME_SECONDS = 24 * 3600

#: Seconds in which a guest may send `sends_per_guest` photos.
RATE_LIMIT_WINDOW_SECONDS = 600

#: Phones behind one address: a venue's network may hide them all behind one, and a browser that throws its cookies
#: away must not begin anew each time.
GUESTS_PER_ADDRESS = 8

#: Uploads at a time, and files that wait for the producer: beyond these the disk is kept from filling.
MAX_CONCURRENT_UPLOADS, MAX_WAITING_UPLOADS = 16, 200

#: Seconds without a byte after which an upload is given up.
_STALL_TIMEOUT_SECONDS = 30.0

#: Jobs that were sent and not yet heard of, remembered for those who wait for them.
_MAX_RECEIVED_JOBS = 10_000


class UploadReceiver:
    """Where guests hand in their photos. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError for a recipe that is none."""
        self.recipes = {name: load_recipe(name) for name in settings.send_recipes.replace(",", " ").split()}
        self._settings = settings
        self._upload_folder = UploadFolder(
            settings.data, max_file_bytes=1_000_000 * settings.max_file_mb, max_waiting=MAX_WAITING_UPLOADS
        )
        self._upload_folder.remove_abandoned()
        self._guest_limiter = RateLimiter(settings.sends_per_guest, RATE_LIMIT_WINDOW_SECONDS)
        self._address_limiter = RateLimiter(settings.sends_per_guest * GUESTS_PER_ADDRESS, RATE_LIMIT_WINDOW_SECONDS)
        self._active_uploads = 0
        self._received_jobs = OrderedDict[str, None].fromkeys(self._upload_folder.list_waiting())

    def is_received(self, job_id: str) -> bool:
        """Tell whether a photo came in that becomes a job, whatever has become of it since."""
        return job_id in self._received_jobs

    async def receive(self, request: Request, guest: str, recipe: Recipe) -> str:
        """Take an upload in, and return the id of its job. Raises Refused."""
        address = request.client.host if request.client else ""
        if self._active_uploads >= MAX_CONCURRENT_UPLOADS:
            raise UploadRejected("send_busy", 503)
        self._active_uploads += 1
        try:
            if await run_in_thread(lambda: self._upload_folder.is_full):
                raise UploadRejected("send_busy", 503)
            if max(self._guest_limiter.get_wait_seconds(guest), self._address_limiter.get_wait_seconds(address)) > 0:
                raise UploadRejected("send_too_many", 429)
            self._guest_limiter.record(guest)
            self._address_limiter.record(address)
            job_id = await self._upload_folder.save(_iterate_with_timeout(request.stream()), guest, recipe)
        except OSError as error:
            _LOG.warning("A guest's photo could not be written: %s", error.strerror or error)
            raise UploadRejected("send_busy", 503) from error
        except (TimeoutError, ClientDisconnect) as error:
            raise UploadRejected("send_broken", 408) from error
        finally:
            self._active_uploads -= 1
        self._received_jobs[job_id] = None
        while len(self._received_jobs) > _MAX_RECEIVED_JOBS:
            self._received_jobs.popitem(last=False)
        return job_id


def upload_routes(receiver: UploadReceiver, share_links: ShareLinks, settings: Settings) -> list[Route]:
    """Return `/send`, what it needs, and its code; where a setting turns sending off, nothing is there."""

    async def get_page(request: Request) -> Response:
        spoken = get_guest_texts(request.query_params.get("lang", settings.language))
        choice = [{"name": name, "title": recipe.title} for name, recipe in receiver.recipes.items()]
        answer = page_response("upload", spoken, recipes=choice, max_megabytes=settings.max_file_mb)
        _set_guest_cookie(answer, request)
        return answer

    async def receive_photo(request: Request) -> Response:
        spoken = get_guest_texts(request.query_params.get("lang", settings.language))
        asked = request.query_params
        try:
            if not _is_same_origin(request, settings):
                raise UploadRejected("send_broken", 403)
            recipe = receiver.recipes.get(asked.get("recipe", ""))
            if recipe is None or asked.get("consent") != "yes":
                raise UploadRejected("send_broken", 400)
            length = request.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > 1_000_000 * settings.max_file_mb:
                raise UploadRejected("send_too_large", 413)
            job_id = await receiver.receive(request, _get_guest_id(request), recipe)
        except UploadRejected as refused:
            reason = spoken[refused.text_key].replace("{most}", str(settings.max_file_mb))
            await _drain_body(request, 1_000_000 * settings.max_file_mb)
            return JSONResponse({"reason": reason}, refused.status, headers=PAGE_HEADERS | {"Connection": "close"})
        answer = JSONResponse({"page": f"/t/{share_links.make_token(job_id)}"}, 201, headers=PAGE_HEADERS)
        _set_guest_cookie(answer, request)
        return answer

    async def get_example(request: Request) -> Response:
        name = request.path_params["name"]
        known = name in receiver.recipes
        return await asset_response(request, "upload/examples", f"{name}.jpg") if known else empty_response()

    async def get_qr_code(_: Request) -> Response:
        begin = resolve_public_url(settings)
        return qr_response(begin and f"{begin}/send")

    async def answer_not_found(_: Request) -> Response:
        return empty_response()

    if not settings.send:
        return [
            Route("/send", answer_not_found),
            Route("/send/{rest:path}", answer_not_found, methods=["GET", "POST"]),
            Route("/qr/send.svg", answer_not_found),
        ]
    return [
        Route("/send", get_page),
        Route("/send/photo", receive_photo, methods=["POST"]),
        Route("/send/examples/{name}.jpg", get_example),
        asset_route("/send", "upload"),
        Route("/qr/send.svg", get_qr_code),
    ]


def _get_guest_id(request: Request) -> str:
    """Return who sends, as a browser was told before; somebody new where it was not."""
    known = request.cookies.get(GUEST_COOKIE, "")
    if not _GUEST_ID.fullmatch(known):
        known = getattr(request.state, "guest", "") or secrets.token_hex(8)
        request.state.guest = known
    return known


def _set_guest_cookie(response: Response, request: Request) -> None:
    secure = request.url.scheme == "https"
    guest = _get_guest_id(request)
    response.set_cookie(
        GUEST_COOKIE, guest, max_age=_COOKIE_LIFETIME_SECONDS, httponly=True, samesite="strict", secure=secure
    )


def _is_same_origin(request: Request, settings: Settings) -> bool:
    """Tell whether an upload comes from this display's own page: browsers say where, and nobody else needs to send."""
    origin = request.headers.get("origin", "")
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin"):
        return False
    return origin.partition("//")[2] == request.headers.get("host") or origin == resolve_public_url(settings)


async def _drain_body(request: Request, max_bytes: int) -> None:
    """Read what is still coming: a browser that is cut off in the middle never shows what it was answered."""
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # gone, or read to its end
        async for piece in _iterate_with_timeout(request.stream()):
            max_bytes -= len(piece)
            if max_bytes < 0:
                return


async def _iterate_with_timeout(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass pieces on; raise TimeoutError where none comes for long."""
    while True:
        async with asyncio.timeout(_STALL_TIMEOUT_SECONDS):
            try:
                piece = await anext(chunks)
            except StopAsyncIteration:
                return
        yield piece
