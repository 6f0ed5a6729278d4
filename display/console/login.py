"""The entrance to the console: the passcode, and what only the operator may fetch."""

import html
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from importlib.resources import files
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from display.console.context import Desk
from display.console.export import zipped
from display.console.sessions import COOKIE, SESSION
from display.i18n import console_words
from display.web.security_headers import policy
from display.web.threads import aside
from shared.storage.object_names import dream_name, thumb_name
from shared.storage.store import Store, StoreError

_HEADERS = policy(style="'self'", font="'self'", img="'self'", form="'self'") | {"Cache-Control": "no-store"}

#: Bytes of the longest form that is read.
_LONGEST = 4096


def entrance_routes(desk: Desk, store: Store, page: Route) -> list[Route]:
    """Return `/console` and what lies below it. `page`: what serves Streamlit's page."""

    def knows(request: Request) -> bool:
        return desk.guard.knows(request.cookies.get(COOKIE))

    def speaking(request: Request) -> dict[str, str]:
        return console_words(request.query_params.get("lang", desk.settings.language))

    def back(request: Request) -> RedirectResponse:
        address = f"/console?lang={speaking(request)['language']}"
        return RedirectResponse(address, status_code=303, headers=_HEADERS)

    async def console(request: Request) -> Response:
        if knows(request):
            return await page.endpoint(request)  # type: ignore[no-any-return]
        if not desk.guard.open:
            return _form(speaking(request), "no_console", 404, shut=True)
        return _form(speaking(request))

    async def enter(request: Request) -> Response:
        if not _own(request):
            return Response(status_code=403, headers=_HEADERS)
        address = request.client.host if request.client else ""
        if wait := desk.guard.locked(address):
            return _form(speaking(request), "guesses", 429, seconds=f"{wait:.0f}")
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > _LONGEST:
                return Response(status_code=413, headers=_HEADERS)
        passcode = parse_qs(body.decode("utf-8", "replace")).get("passcode", [""])[0]
        session = desk.guard.enter(passcode, address)
        if session is None:
            return _form(speaking(request), "wrong", 403)
        answer = back(request)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, session, max_age=SESSION, httponly=True, samesite="strict", secure=secure)
        return answer

    async def leave(request: Request) -> Response:
        desk.guard.leave(request.cookies.get(COOKIE, ""))
        answer = back(request)
        answer.delete_cookie(COOKIE)
        return answer

    async def picture(request: Request) -> Response:
        """Serve a picture that perhaps nobody else may see."""
        job_id, name = request.path_params["job_id"], request.path_params["name"]
        dream = desk.feed.archive.find(job_id) if knows(request) else None
        named = {"thumb.jpg": thumb_name(job_id), "dream.jpg": dream_name(job_id), "photo.jpg": dream and dream.photo}
        if dream is None or not (wanted := named.get(name)):
            return Response(status_code=404, headers=_HEADERS)
        try:
            data = await store.get_async(wanted)
            if data is None and name == "thumb.jpg":
                data = await store.get_async(dream.dream)
        except StoreError:
            return Response(status_code=503, headers=_HEADERS | {"Retry-After": "2"})
        if data is None:
            return Response(status_code=404, headers=_HEADERS)
        return Response(data, media_type="image/jpeg", headers=_HEADERS)

    async def export(request: Request) -> Response:
        if not knows(request):
            return back(request)
        pieces = zipped(store, desk.feed.archive.everything())
        headers = _HEADERS | {"Content-Disposition": 'attachment; filename="artdream.zip"'}
        return StreamingResponse(_drawn(pieces), media_type="application/zip", headers=headers)

    async def asset(_: Request) -> Response:
        return Response(_asset("login.css"), media_type="text/css", headers=_HEADERS)

    return [
        Route("/console", console),
        Route("/console/enter", enter, methods=["POST"]),
        Route("/console/leave", leave),
        Route("/console/login.css", asset),
        Route("/console/export.zip", export),
        Route("/console/pictures/{job_id}/{name}", picture),
    ]


def _form(
    spoken: Mapping[str, str], message: str = "", status: int = 200, *, shut: bool = False, **values: str
) -> Response:
    """Return the page that asks for the passcode. message: the name of what is said below it."""
    filled = {name: spoken[name] for name in ("language", "title", "passcode", "enter")}
    filled |= {"message": spoken[message].format(**values) if message else "", "shut": "hidden" if shut else ""}
    text = re.sub(r"\{(\w+)\}", lambda place: html.escape(filled[place[1]]), _asset("login.html"))
    return Response(text, status_code=status, media_type="text/html", headers=_HEADERS)


def _asset(name: str) -> str:
    return files("display").joinpath("components", "login", name).read_text(encoding="utf-8")


def _own(request: Request) -> bool:
    """Tell whether a form comes from this display's own page, and not from another one in the same browser."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    return site in (None, "same-origin") and (
        origin is None or origin.partition("//")[2] == request.headers.get("host")
    )


async def _drawn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Draw pieces from an iterator that blocks."""
    while (piece := await aside(lambda: next(pieces, None))) is not None:
        yield piece
