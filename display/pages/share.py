"""Taking a dream home: a page for a phone that shows one dream, or how it is getting on, and nothing else."""

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from display.i18n import words
from display.media.pictures import Pictures
from display.media.routes import given
from display.pages.share_links import Link, Links
from display.state.event_hub import Feed
from display.web.html import HEADERS, asset, nothing, page
from shared.settings import Settings
from shared.storage.object_names import clip_name, dream_name, frame_name, thumb_name
from shared.storage.sidecar import Visibility

_FRAME = re.compile("frame-([0-9]{1,4}).jpg", re.ASCII)

_ASSETS = {"share.js": "share", "phone.css": "phone", "icon.svg": "wall"}

#: Kept by the browser, but asked for anew each time: a link ends, and a dream may be taken down.
_ASKED = HEADERS | {"Cache-Control": "private, no-cache"}

#: What a browser is answered where the page has nothing to show.
_STATUS = {"expired": 410, "gone": 404, "nothing": 404, "wrong": 404, "away": 503}


def takeaway_routes(
    feed: Feed, pictures: Pictures, links: Links, received: Callable[[str], bool], settings: Settings
) -> list[Route]:
    """Return `/t/<token>`, its state, its pictures and its scripts.

    received: whether a photo was sent that becomes a job, of which nothing else may be known yet.
    """

    def told(link: Link | None) -> dict[str, object]:
        """Return what whoever holds a link may know. The one place that decides it."""
        if link is None:
            return {"state": "wrong"}
        if link.expired:
            return {"state": "expired", "ends": link.ends}
        return _told_of(feed, link.job_id, received) | {"ends": link.ends}

    def public(state: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in state.items() if name != "photo"}

    async def show(request: Request) -> Response:
        spoken = words(request.query_params.get("lang", settings.language))
        state = public(told(links.read(request.path_params["token"])))
        return page("share", spoken, status=_STATUS.get(str(state["state"]), 200), state=state)

    async def ask(request: Request) -> Response:
        return JSONResponse(public(told(links.read(request.path_params["token"]))), headers=HEADERS)

    async def picture(request: Request) -> Response:
        link, name = links.read(request.path_params["token"]), request.path_params["name"]
        state = told(link)
        if link is None or state["state"] not in ("emerging", "done"):
            return nothing(410 if state["state"] == "expired" else 404)
        names = {"photo.jpg": str(state["photo"])}
        if state["state"] == "done":
            named = {"dream.jpg": dream_name, "thumb.jpg": thumb_name, "clip.mp4": clip_name}
            names |= {short: full(link.job_id) for short, full in named.items()}
        elif frame := _FRAME.fullmatch(name):
            names[name] = frame_name(link.job_id, int(frame[1]))
        return await given(request, pictures, names[name], _ASKED) if name in names else nothing()

    async def part(request: Request) -> Response:
        name = request.path_params["name"]
        return asset(_ASSETS[name], name) if name in _ASSETS else nothing()

    return [
        Route("/t/{token}", show),
        Route("/t/{token}/state", ask),
        Route("/t/{token}/{name}", picture),
        Route("/share/{name}", part),
    ]


def _told_of(feed: Feed, job_id: str, received: Callable[[str], bool]) -> dict[str, object]:
    """Return what the one who has a job's link may know of it. The archive says whether a dream may be seen."""
    dream = feed.archive.find(job_id)
    if dream is not None and feed.archive.shows(job_id):
        shown = {"recipe": dream.recipe, "title": dream.title, "photo": dream.photo}
        return {"state": "done", "job": job_id[:8], **shown}
    if dream is not None:
        return {"state": "held" if dream.standing is Visibility.HELD else "gone"}
    if feed.archive.deleted(job_id):
        return {"state": "gone"}
    if where := feed.whereabouts(job_id):
        return where
    if received(job_id):
        return {"state": "received"}
    return {"state": "nothing" if feed.archive.complete else "away"}
