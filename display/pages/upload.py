"""Upload page: guests send photos from their phones; the photos enter through a folder that the producer watches."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.pages.collection import COLLECTION_PATH, remember_picture
from display.pages.navigation import GUEST_PAGES
from display.pages.share_links import ShareLinks
from display.pages.upload_folder import UploadFolder, UploadRejected
from display.state.usage_recorder import UsageRecorder
from display.web.guest import get_guest_id, set_guest_cookie
from display.web.html import PAGE_HEADERS, asset_response, asset_route, empty_response, page_response
from display.web.qr import qr_response
from display.web.rate_limit import RateLimiter
from display.web.same_origin import is_same_origin
from display.web.threads import run_in_thread
from shared.appearance import Appearance
from shared.jobs.job import Origin
from shared.monitoring.usage_counts import Counted
from shared.public_url import resolve_public_url
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds in which a guest may send `sends_per_guest` photos.
RATE_LIMIT_WINDOW_SECONDS = 600

#: The limit per IP address, in guests. A venue's network may put all phones behind one address, but a browser that
#: deletes its cookies must not evade the limit.
GUESTS_PER_ADDRESS = 8

#: Concurrent uploads, and files that wait for the producer. Further uploads are rejected, so that the disk cannot fill.
MAX_CONCURRENT_UPLOADS, MAX_WAITING_UPLOADS = 16, 200

#: Bytes that are read of an upload that was rejected: most photos, because browsers show no answer before that.
_MAX_DRAINED_BYTES = 20_000_000

#: Seconds without a byte after which an upload is aborted.
_STALL_TIMEOUT_SECONDS = 30.0

#: Uploaded jobs that are remembered: until their first event nothing else is known of them.
_MAX_RECEIVED_JOBS = 10_000


class UploadReceiver:
    """Receives uploads within the limits. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Load the recipes that guests may choose. Raises ArtDreamError for an unknown or invalid recipe."""
        self.recipes = {name: load_recipe(name) for name in settings.send_recipes.replace(",", " ").split()}
        self._settings = settings
        self._upload_folder = UploadFolder(
            settings.data, max_file_bytes=1_000_000 * settings.max_file_mb, max_waiting=MAX_WAITING_UPLOADS
        )
        self._upload_folder.remove_abandoned()
        self._guest_limiter = RateLimiter(settings.sends_per_guest, RATE_LIMIT_WINDOW_SECONDS)
        self._address_limiter = RateLimiter(settings.sends_per_guest * GUESTS_PER_ADDRESS, RATE_LIMIT_WINDOW_SECONDS)
        self._active_uploads = 0
        self._active_drains = 0
        self._received_jobs = OrderedDict[str, None].fromkeys(self._upload_folder.list_waiting())

    async def is_open(self) -> bool:
        """Return whether a producer takes the photos that are received."""
        return await run_in_thread(lambda: self._upload_folder.is_taken)

    def is_received(self, job_id: str) -> bool:
        """Return whether the photo of a job was uploaded here, whatever the job's state is by now."""
        return job_id in self._received_jobs

    async def receive(self, request: Request, guest: str, recipe: Recipe) -> str:
        """Save the upload in a request, and return the id of its job. Raises UploadRejected."""
        address = request.client.host if request.client else ""
        if self._active_uploads >= MAX_CONCURRENT_UPLOADS:
            raise UploadRejected("send_busy", 503)
        self._active_uploads += 1
        try:
            if not await self.is_open():
                raise UploadRejected("send_closed", 503)
            if await run_in_thread(lambda: self._upload_folder.is_full):
                raise UploadRejected("send_busy", 503)
            if max(self._guest_limiter.get_wait_seconds(guest), self._address_limiter.get_wait_seconds(address)) > 0:
                raise UploadRejected("send_too_many", 429)
            self._guest_limiter.record(guest)
            self._address_limiter.record(address)
            job_id = await self._upload_folder.save(_iterate_with_timeout(request.stream()), guest, recipe)
        except OSError as error:
            logger.warning("A guest's photo could not be written: %s", error.strerror or error)
            raise UploadRejected("send_busy", 503) from error
        except (TimeoutError, ClientDisconnect) as error:
            raise UploadRejected("send_broken", 408) from error
        finally:
            self._active_uploads -= 1
        self._received_jobs[job_id] = None
        while len(self._received_jobs) > _MAX_RECEIVED_JOBS:
            self._received_jobs.popitem(last=False)
        return job_id

    async def drain(self, request: Request) -> None:
        """Read and discard the rest of a rejected upload, as far as the limits allow.

        A browser shows no answer before its upload ends; it reports a broken connection instead.
        """
        if self._active_drains >= MAX_CONCURRENT_UPLOADS:
            return
        self._active_drains += 1
        drained_bytes = 0
        try:
            async for chunk in _iterate_with_timeout(request.stream()):
                drained_bytes += len(chunk)
                if drained_bytes > _MAX_DRAINED_BYTES:
                    return
        except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: the stream was read already
            return
        finally:
            self._active_drains -= 1


def upload_routes(
    receiver: UploadReceiver,
    share_links: ShareLinks,
    usage_recorder: UsageRecorder,
    settings: Settings,
    get_appearance: Callable[[], Appearance],
) -> list[Route]:
    """Return the routes `/send`, its assets and its QR code. If uploads are turned off, they all answer 404.

    While no producer takes the photos, the page says so, and there is no QR code.
    """

    async def get_page(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        if not await receiver.is_open():
            return PlainTextResponse(texts["send_closed"], 503, headers=PAGE_HEADERS)
        choices = [{"name": name, "title": recipe.title} for name, recipe in receiver.recipes.items()]
        response = page_response(
            "upload",
            texts,
            get_appearance(),
            pages=[*GUEST_PAGES, COLLECTION_PATH],
            recipes=choices,
            max_megabytes=settings.max_file_mb,
        )
        set_guest_cookie(response, request)
        return response

    async def receive_photo(request: Request) -> Response:
        texts = get_requested_texts(request, settings.language)
        query = request.query_params
        try:
            if not is_same_origin(request, public_url=resolve_public_url(settings), requires_origin=True):
                raise UploadRejected("send_broken", 403)
            recipe = receiver.recipes.get(query.get("recipe", ""))
            if recipe is None or query.get("consent") != "yes":
                raise UploadRejected("send_broken", 400)
            length = request.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > 1_000_000 * settings.max_file_mb:
                raise UploadRejected("send_too_large", 413)
            job_id = await receiver.receive(request, get_guest_id(request), recipe)
        except UploadRejected as rejected:
            usage_recorder.record(Counted.REFUSED, Origin.PHONE, rejected.text_key.removeprefix("send_"))
            reason = texts[rejected.text_key].replace("{most}", str(settings.max_file_mb))
            await receiver.drain(request)
            return JSONResponse({"reason": reason}, rejected.status, headers=PAGE_HEADERS | {"Connection": "close"})
        token = share_links.make_token(job_id)
        response = JSONResponse({"page": f"/t/{token}"}, 201, headers=PAGE_HEADERS)
        set_guest_cookie(response, request)
        if link := share_links.parse_token(token):
            remember_picture(response, request, token, link)
        return response

    async def get_example(request: Request) -> Response:
        name = request.path_params["name"]
        known = name in receiver.recipes
        return await asset_response(request, "upload/examples", f"{name}.jpg") if known else empty_response()

    async def get_qr_code(_: Request) -> Response:
        public_url = resolve_public_url(settings) if await receiver.is_open() else None
        return qr_response(public_url and f"{public_url}/send")

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


async def _iterate_with_timeout(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks. Raises TimeoutError after _STALL_TIMEOUT_SECONDS without one."""
    while True:
        async with asyncio.timeout(_STALL_TIMEOUT_SECONDS):
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        yield chunk
