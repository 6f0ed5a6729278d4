"""Upload page: guests send photos from their phones; the photos enter through a folder that the producer watches."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from display.i18n import get_requested_texts
from display.pages.collection import COLLECTION_PATH, remember_picture
from display.pages.navigation import GUEST_PAGES
from display.pages.share_links import ShareLinks
from display.state.usage_recorder import UsageRecorder
from display.uploads.folder import UploadRejected
from display.uploads.intake import UploadIntake
from display.web.guest import get_guest_id, set_guest_cookie
from display.web.html import PAGE_HEADERS, asset_response, asset_route, empty_response, page_response
from display.web.qr import qr_response
from display.web.rate_limit import RateLimiter
from display.web.same_origin import is_same_origin
from shared.appearance import Appearance
from shared.guest_upload_names import GuestUpload
from shared.jobs.job import Job, Origin
from shared.monitoring.usage_counts import Counted
from shared.public_url import resolve_public_url
from shared.recipe.canary import Canary, assign_recipe
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings

#: Seconds in which a guest may send `sends_per_guest` photos.
RATE_LIMIT_WINDOW_SECONDS = 600

#: The limit per IP address, in guests. A venue's network may put all phones behind one address, but a browser that
#: deletes its cookies must not evade the limit.
GUESTS_PER_ADDRESS = 8


class UploadReceiver:
    """Receives the photos of guests, each within a guest's limits. For one event loop."""

    def __init__(self, settings: Settings, intake: UploadIntake, get_canary: Callable[[], Canary | None]) -> None:
        """Load the recipes that guests may choose. Raises ArtDreamError for an unknown or invalid recipe.

        get_canary: returns the canary of the runtime settings.
        """
        self.recipes = {name: load_recipe(name) for name in settings.guest_recipes}
        self._intake, self._get_canary = intake, get_canary
        self._guest_limiter = RateLimiter(settings.sends_per_guest, RATE_LIMIT_WINDOW_SECONDS)
        self._address_limiter = RateLimiter(settings.sends_per_guest * GUESTS_PER_ADDRESS, RATE_LIMIT_WINDOW_SECONDS)

    async def receive(self, request: Request, guest: str, recipe: Recipe) -> str:
        """Save the upload in a request, and return the id of its job. Raises UploadRejected."""
        address = request.client.host if request.client else ""
        async with self._intake.admit():
            if max(self._guest_limiter.get_wait_seconds(guest), self._address_limiter.get_wait_seconds(address)) > 0:
                raise UploadRejected("send_too_many", 429)
            self._guest_limiter.record(guest)
            self._address_limiter.record(address)
            async with self._intake.receive(request.stream()) as draft:
                assignment = assign_recipe(self._get_canary(), recipe, draft.photo_id)
                job_id = Job(photo_id=draft.photo_id, recipe=assignment.recipe).id
                await self._intake.publish(draft, assignment, GuestUpload(guest, job_id))
                return job_id


def upload_routes(
    receiver: UploadReceiver,
    intake: UploadIntake,
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
        if not await intake.is_open():
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
            await intake.drain(request.stream())
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
        public_url = resolve_public_url(settings) if await intake.is_open() else None
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
