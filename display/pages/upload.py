"""Sending: a page for guests' phones that brings a photo in by the way that all photos take."""

import asyncio
import contextlib
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from importlib.resources import files

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import words
from display.pages.multipart import Reception, Refused
from display.pages.share_links import Links
from display.web.html import HEADERS, asset, nothing, page
from display.web.qr import drawn
from display.web.rate_limit import Limit
from display.web.threads import aside
from shared.public_url import resolve_public_url
from shared.recipe.recipe import Recipe, load_recipe
from shared.settings import Settings

_LOG = logging.getLogger(__name__)

#: The cookie that tells one browser from the next: a number by chance, for the limit and for taking turns.
COOKIE = "artdream_guest"

_GUEST = re.compile("[0-9a-f]{16}", re.ASCII)

#: Seconds that a browser keeps it: an evening and the morning after.
_STAYS = 24 * 3600

#: Seconds in which a guest may send `sends_per_guest` photos.
WITHIN = 600

#: Phones behind one address: a venue's network may hide them all behind one, and a browser that throws its cookies
#: away must not begin anew each time.
PHONES = 8

#: Uploads at a time, and files that wait for the producer: beyond these the disk is kept from filling.
AT_A_TIME, WAITING = 16, 200

#: Seconds without a byte after which an upload is given up.
_SILENCE = 30.0

#: Jobs that were sent and not yet heard of, remembered for those who wait for them.
_REMEMBERED = 10_000

_ASSETS = {"upload.js": "upload", "upload.css": "upload", "phone.css": "phone", "icon.svg": "wall"}


class Counter:
    """Where guests hand in their photos. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        """Raises ArtDreamError for a recipe that is none."""
        self.recipes = {name: load_recipe(name) for name in settings.send_recipes.replace(",", " ").split()}
        self._settings = settings
        self._reception = Reception(settings.data, largest=1_000_000 * settings.max_file_mb, most=WAITING)
        self._reception.sweep()
        self._guests = Limit(settings.sends_per_guest, WITHIN)
        self._addresses = Limit(settings.sends_per_guest * PHONES, WITHIN)
        self._underway = 0
        self._received = OrderedDict[str, None].fromkeys(self._reception.waiting())

    def received(self, job_id: str) -> bool:
        """Tell whether a photo came in that becomes a job, whatever has become of it since."""
        return job_id in self._received

    async def take(self, request: Request, guest: str, recipe: Recipe) -> str:
        """Take an upload in, and return the id of its job. Raises Refused."""
        address = request.client.host if request.client else ""
        if self._underway >= AT_A_TIME:
            raise Refused("send_busy", 503)
        self._underway += 1
        try:
            if await aside(lambda: self._reception.full):
                raise Refused("send_busy", 503)
            if max(self._guests.wait(guest), self._addresses.wait(address)) > 0:
                raise Refused("send_too_many", 429)
            self._guests.count(guest)
            self._addresses.count(address)
            job_id = await self._reception.take(_patiently(request.stream()), guest, recipe)
        except OSError as error:
            _LOG.warning("A guest's photo could not be written: %s", error.strerror or error)
            raise Refused("send_busy", 503) from error
        except (TimeoutError, ClientDisconnect) as error:
            raise Refused("send_broken", 408) from error
        finally:
            self._underway -= 1
        self._received[job_id] = None
        while len(self._received) > _REMEMBERED:
            self._received.popitem(last=False)
        return job_id


def send_routes(counter: Counter, links: Links, settings: Settings) -> list[Route]:
    """Return `/send`, what it needs, and its code; where a setting turns sending off, nothing is there."""

    async def show(request: Request) -> Response:
        spoken = words(request.query_params.get("lang", settings.language))
        choice = [{"name": name, "title": recipe.title} for name, recipe in counter.recipes.items()]
        answer = page("upload", spoken, recipes=choice, most=settings.max_file_mb)
        _know(answer, request)
        return answer

    async def take(request: Request) -> Response:
        spoken = words(request.query_params.get("lang", settings.language))
        asked = request.query_params
        try:
            if not _own(request, settings):
                raise Refused("send_broken", 403)
            recipe = counter.recipes.get(asked.get("recipe", ""))
            if recipe is None or asked.get("consent") != "yes":
                raise Refused("send_broken", 400)
            length = request.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > 1_000_000 * settings.max_file_mb:
                raise Refused("send_too_large", 413)
            job_id = await counter.take(request, _guest(request), recipe)
        except Refused as refused:
            reason = spoken[refused.word].replace("{most}", str(settings.max_file_mb))
            await _drain(request, 1_000_000 * settings.max_file_mb)
            return JSONResponse({"reason": reason}, refused.status, headers=HEADERS | {"Connection": "close"})
        answer = JSONResponse({"page": f"/t/{links.token(job_id)}"}, 201, headers=HEADERS)
        _know(answer, request)
        return answer

    async def part(request: Request) -> Response:
        name = request.path_params["name"]
        return asset(_ASSETS[name], name) if name in _ASSETS else nothing()

    async def example(request: Request) -> Response:
        name = request.path_params["name"]
        known = name in counter.recipes and files("display").joinpath("components", "upload", f"{name}.jpg").is_file()
        return asset("upload", f"{name}.jpg") if known else nothing()

    async def code(_: Request) -> Response:
        begin = resolve_public_url(settings)
        return drawn(begin and f"{begin}/send")

    async def off(_: Request) -> Response:
        return nothing()

    if not settings.send:
        return [
            Route("/send", off),
            Route("/send/{rest:path}", off, methods=["GET", "POST"]),
            Route("/qr/send.svg", off),
        ]
    return [
        Route("/send", show),
        Route("/send/photo", take, methods=["POST"]),
        Route("/send/examples/{name}.jpg", example),
        Route("/send/{name}", part),
        Route("/qr/send.svg", code),
    ]


def _guest(request: Request) -> str:
    """Return who sends, as a browser was told before; somebody new where it was not."""
    known = request.cookies.get(COOKIE, "")
    if not _GUEST.fullmatch(known):
        known = getattr(request.state, "guest", "") or secrets.token_hex(8)
        request.state.guest = known
    return known


def _know(answer: Response, request: Request) -> None:
    secure = request.url.scheme == "https"
    guest = _guest(request)
    answer.set_cookie(COOKIE, guest, max_age=_STAYS, httponly=True, samesite="strict", secure=secure)


def _own(request: Request, settings: Settings) -> bool:
    """Tell whether an upload comes from this display's own page: browsers say where, and nobody else needs to send."""
    origin = request.headers.get("origin", "")
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin"):
        return False
    return origin.partition("//")[2] == request.headers.get("host") or origin == resolve_public_url(settings)


async def _drain(request: Request, most: int) -> None:
    """Read what is still coming: a browser that is cut off in the middle never shows what it was answered."""
    with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):  # gone, or read to its end
        async for piece in _patiently(request.stream()):
            most -= len(piece)
            if most < 0:
                return


async def _patiently(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Pass pieces on; raise TimeoutError where none comes for long."""
    while True:
        async with asyncio.timeout(_SILENCE):
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
        yield piece
